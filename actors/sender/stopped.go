package sender

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/hook"
	"berth/actors/stream"
	"berth/netio/gb28181"
)

// stoppedHook tells of a sender that has ended by itself.
const stoppedHook = "on_send_rtp_stopped"

// ZLMediaKit's numbers of why a socket has ended.
const (
	codeEOF      = 1
	codeTimeout  = 2
	codeRefused  = 3
	codeReset    = 4
	codeDNS      = 5
	codeShutdown = 6
	codeOther    = 255
)

// originFields are what the hook tells of the stream beside its name.
type originFields struct {
	params string
	origin stream.Origin
}

func originOf(s *stream.Snapshot) originFields { return originFields{s.Params, s.Origin} }

// notify fires on_send_rtp_stopped.
func (a *senderActor) notify(ctx actor.Context, err error) {
	a.log.Warn().Err(err).Msg("the sender has ended by itself")
	if a.opts.Hook == nil {
		return
	}
	k := a.def.Stream
	ctx.Send(a.opts.Hook, &hook.Notify{Name: stoppedHook, Body: map[string]any{
		"vhost": k.VHost, "app": k.App, "stream": k.Stream, "params": a.origin.params, "originType": int(a.origin.origin.Type),
		"originTypeStr": a.origin.origin.Type.String(), "originUrl": a.origin.origin.URL, "ssrc": a.def.SSRC, "err": codeOf(err), "msg": err.Error(),
	}})
}

// codeOf sorts an error by ZLMediaKit's numbers.
func codeOf(err error) int {
	var dns *net.DNSError
	switch {
	case errors.Is(err, io.EOF):
		return codeEOF
	case errors.As(err, &dns):
		return codeDNS
	case isAny(err, gb28181.ErrNoTCPPeer, gb28181.ErrNoUDPPeer, gb28181.ErrNoReports, gb28181.ErrPeerStuck, context.DeadlineExceeded, os.ErrDeadlineExceeded, syscall.ETIMEDOUT):
		return codeTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return codeRefused
	case isAny(err, syscall.ECONNRESET, syscall.EPIPE):
		return codeReset
	case isAny(err, gb28181.ErrPathClosed, net.ErrClosed):
		return codeShutdown
	}
	return codeOther
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
