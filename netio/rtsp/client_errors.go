package rtsp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"berth/media/hub"
)

// PullReason says why a pull failed. Its text is stable.
type PullReason string

// The reasons that exist.
const (
	PullBadURL       PullReason = "bad_url"      // the URL cannot be a source
	PullUnresolved   PullReason = "unresolved"   // the host name has no address
	PullRefused      PullReason = "refused"      // nothing listens there
	PullUnreachable  PullReason = "unreachable"  // no route, or the network is down
	PullTimeout      PullReason = "timeout"      // no answer, or no media, within the time for the attempt
	PullTLS          PullReason = "tls"          // the TLS handshake failed
	PullUnauthorized PullReason = "unauthorized" // 401 or 403
	PullNotFound     PullReason = "not_found"    // 404
	PullStatus       PullReason = "status"       // another status that is no success
	PullNoTracks     PullReason = "no_tracks"    // the source has no audio or video that could be played
	PullChanged      PullReason = "changed"      // the source described other tracks in the middle of an attempt
	PullRedirected   PullReason = "redirected"   // too many redirects, a loop, or one from rtsps to rtsp
	PullUnsupported  PullReason = "unsupported"  // the transport or an answer is not one that works here
	PullSilent       PullReason = "silent"       // it played, then no packet came for the media timeout
	PullLost         PullReason = "lost"         // the connection broke
	PullDetached     PullReason = "detached"     // the sink takes no more packets
	PullClosed       PullReason = "closed"       // Close was called
)

// PullError is how a pull fails.
type PullError struct {
	Reason PullReason
	URL    string          // the source, without credentials
	Status base.StatusCode // of the response that was no success, else 0
	Err    error           // the cause, nil when Reason says all
}

// pullTexts are what the operator is told, with a cure where there is one.
func (r PullReason) text() string {
	switch r {
	case PullBadURL:
		return "not an RTSP URL (rtsp://host[:port]/path or rtsps://...)"
	case PullUnresolved:
		return "host name not found; check the name and the DNS"
	case PullRefused:
		return "connection refused; nothing listens on that address and port"
	case PullUnreachable:
		return "host unreachable; check address and routing"
	case PullTimeout:
		return "timed out"
	case PullTLS:
		return "TLS handshake failed"
	case PullUnauthorized:
		return "not authorized; check user and password"
	case PullNotFound:
		return "the source has no such stream"
	case PullStatus:
		return "the source refused"
	case PullNoTracks:
		return "the source offers no audio or video track that can be played"
	case PullChanged:
		return "the source changed its tracks while it was being opened"
	case PullRedirected:
		return "bad redirect"
	case PullUnsupported:
		return "the source's answer is not supported"
	case PullSilent:
		return "the source stopped sending media"
	case PullLost:
		return "connection lost"
	case PullDetached:
		return "the stream took no more packets"
	case PullClosed:
		return "closed"
	}
	return string(r)
}

// Error names the source, what happened and, where there is one, the cure.
func (e *PullError) Error() string {
	text := fmt.Sprintf("pull %s: %s", e.URL, e.Reason.text())
	if e.Status != 0 {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Err != nil {
		text += ": " + presentable(e.Err.Error())
	}
	return text
}

// maxSaying bounds what a source can make an error say, in bytes.
const maxSaying = 300

// presentable is a text that may quote the source, fit for logs and API replies: of bounded length, on one line, and printable.
func presentable(text string) string {
	tail := ""
	if len(text) > maxSaying {
		text, tail = text[:maxSaying], "..."
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text) + tail
}

// Unwrap returns the cause.
func (e *PullError) Unwrap() error { return e.Err }

// pullWaitError says what an attempt waited for when its time was up.
type pullWaitError struct {
	what  string
	cause error
}

func (e *pullWaitError) Error() string { return "while waiting for " + e.what }

func (e *pullWaitError) Unwrap() error { return e.cause }

// errNoUDPPacket ends an attempt over UDP that brought nothing.
var errNoUDPPacket = errors.New("no packet came over UDP")

// pullFault sorts an error of the network or of the library into a reason. url must be free of credentials.
func pullFault(url string, err error) *PullError {
	var known *PullError
	if errors.As(err, &known) {
		return known
	}
	fault := &PullError{URL: url, Reason: pullNetReason(err), Err: err}
	if status := (liberrors.ErrClientBadStatusCode{}); errors.As(err, &status) {
		fault.Status = status.Code
		fault.Err = nil
		switch status.Code {
		case base.StatusUnauthorized, base.StatusForbidden:
			fault.Reason = PullUnauthorized
		case base.StatusNotFound:
			fault.Reason = PullNotFound
		default:
			fault.Reason = PullStatus
			if status.Message != "" {
				fault.Err = errors.New(status.Message)
			}
		}
	}
	if fault.Reason == "" {
		fault.Reason = PullUnsupported
	}
	return fault
}

// pullNetReason recognises what the network can do to a pull, "" for anything else.
func pullNetReason(err error) PullReason {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		invalid     x509.CertificateInvalidError
		operation   *net.OpError
	)
	switch {
	case errors.Is(err, hub.ErrDetached):
		return PullDetached
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, new(liberrors.ErrClientRequestTimedOut)), errors.As(err, new(liberrors.ErrClientTCPTimeout)),
		errors.As(err, new(liberrors.ErrClientUDPTimeout)), errors.Is(err, syscall.ETIMEDOUT):
		return PullTimeout
	case errors.Is(err, context.Canceled), errors.As(err, new(liberrors.ErrClientTerminated)):
		return PullClosed
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return PullTimeout
		}
		return PullUnresolved
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &invalid):
		return PullTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return PullRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ENETDOWN):
		return PullUnreachable
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed), errors.As(err, &operation):
		return PullLost
	}
	return ""
}
