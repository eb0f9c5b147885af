package rtsp

import (
	"bytes"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const protocolVersion = "RTSP/1.0"

// methodRedirect is defined by RFC 2326 10.10 for servers to send; a client must not.
const methodRedirect base.Method = "REDIRECT"

func knownMethod(m base.Method) bool {
	switch m {
	case base.Announce, base.Describe, base.GetParameter, base.Options, base.Pause, base.Play, base.Record, base.Setup, base.SetParameter,
		base.Teardown, methodRedirect:
		return true
	}
	return false
}

// isTokenByte reports whether c can stand in a method (RFC 2326 15.1, narrowed to what methods in use consist of).
func isTokenByte(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// parseText parses a request's or response's first line and header, and returns the length of the body that follows.
func parseText(head []byte, limits Limits) (Message, int) {
	first, rest := cutLine(head)
	var msg Message
	var header base.Header
	if strings.HasPrefix(first, "RTSP/") {
		msg.Response = parseStatusLine(first)
		if msg.Response == nil {
			msg.Err = fatal(base.StatusBadRequest, "the status line is malformed")
			return msg, 0
		}
		header, msg.Err = parseHeader(rest, limits)
		msg.Response.Header = header
	} else {
		msg.Request, msg.Err = parseRequestLine(first)
		var err *MalformedError
		header, err = parseHeader(rest, limits)
		if msg.Err == nil {
			msg.Err = err
		}
		msg.Request.Header = header
	}
	length, err := contentLength(header, limits)
	if err != nil {
		msg.Err = err // fatal: it takes precedence
	}
	return msg, length
}

// cutLine splits off the first line, without its line end (CR LF, or LF alone).
func cutLine(b []byte) (string, []byte) {
	line, rest, _ := bytes.Cut(b, []byte{'\n'})
	return string(bytes.TrimSuffix(line, []byte{'\r'})), rest
}

// parseRequestLine never returns a nil request, so that a malformed one can still be answered with its CSeq.
func parseRequestLine(line string) (*base.Request, *MalformedError) {
	req := &base.Request{}
	method, rest, ok := strings.Cut(line, " ")
	req.Method = base.Method(method)
	if !ok {
		return req, fatal(base.StatusBadRequest, "the request line has no URL")
	}
	// Some clients do not escape spaces in the URL: the version is what follows the last one.
	at := strings.LastIndexByte(rest, ' ')
	if at < 0 {
		return req, fatal(base.StatusBadRequest, "the request line has no protocol version")
	}
	target, version := strings.TrimSpace(rest[:at]), rest[at+1:]
	if version != protocolVersion {
		if !strings.HasPrefix(version, "RTSP/") {
			return req, fatal(base.StatusBadRequest, "the protocol is not RTSP")
		}
		return req, malformed(base.StatusRTSPVersionNotSupported, "the server speaks %s only", protocolVersion)
	}
	if target == "*" {
		return req, nil
	}
	u, err := parseURL(target)
	req.URL = u
	return req, err
}

// parseURL reads a request URL: rtsp or rtsps scheme, or an absolute path alone, as some clients send. Credentials are cut off.
func parseURL(s string) (*base.URL, *MalformedError) {
	if hasControl(s) {
		return nil, malformed(base.StatusBadRequest, "the URL has control characters")
	}
	scheme, authority, path := "rtsp", "", s
	if !strings.HasPrefix(s, "/") {
		var rest string
		var ok bool
		scheme, rest, ok = strings.Cut(s, "://")
		scheme = strings.ToLower(scheme)
		if !ok || scheme != "rtsp" && scheme != "rtsps" {
			return nil, malformed(base.StatusBadRequest, "the URL is not an rtsp URL")
		}
		authority, path = rest, ""
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			authority, path = rest[:i], rest[i:]
		}
		// Passwords are often not escaped; they end at the last @ before the path.
		authority = authority[strings.LastIndexByte(authority, '@')+1:]
	}
	u, err := url.Parse(scheme + "://" + authority + path)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, malformed(base.StatusBadRequest, "the URL is malformed")
	}
	return (*base.URL)(u), nil
}

// hasControl reports whether s has characters that must not travel in a header line or a name.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func parseStatusLine(line string) *base.Response {
	_, rest, _ := strings.Cut(line, " ")
	code, text, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil {
		return nil
	}
	return &base.Response{StatusCode: base.StatusCode(n), StatusMessage: text}
}

// parseHeader reads header lines up to the empty one. A line that begins with white space continues the one before (RFC 2068 4.2).
func parseHeader(b []byte, limits Limits) (base.Header, *MalformedError) {
	header := base.Header{}
	key := ""
	for lines := 0; len(b) > 0; lines++ {
		var line string
		line, b = cutLine(b)
		if line == "" {
			break
		}
		if lines == limits.HeaderLines {
			return header, fatal(base.StatusRequestEntityTooLarge, "the header has more than %d lines", limits.HeaderLines)
		}
		if line[0] == ' ' || line[0] == '\t' {
			if values := header[key]; len(values) > 0 {
				values[len(values)-1] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return header, malformed(base.StatusBadRequest, "a header line has no colon")
		}
		if hasControl(strings.ReplaceAll(value, "\t", " ")) {
			return header, malformed(base.StatusBadRequest, "a header value has control characters")
		}
		key = headerName(name)
		header[key] = append(header[key], strings.TrimSpace(value))
	}
	return header, nil
}

// headerName spells a header name as gortsplib's packages look it up.
func headerName(name string) string {
	name = strings.TrimSpace(name)
	switch strings.ToLower(name) {
	case "cseq":
		return "CSeq"
	case "rtp-info":
		return "RTP-Info"
	case "www-authenticate":
		return "WWW-Authenticate"
	case "keymgmt":
		return "KeyMgmt"
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// contentLength returns the length of the body. Without a valid one the next message cannot be found, so every error is fatal.
func contentLength(header base.Header, limits Limits) (int, *MalformedError) {
	values := header["Content-Length"]
	if len(values) == 0 {
		return 0, nil
	}
	for _, v := range values[1:] {
		if v != values[0] {
			return 0, fatal(base.StatusBadRequest, "Content-Length is given twice with different values")
		}
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return 0, fatal(base.StatusBadRequest, "Content-Length is not a number")
	}
	if n > uint64(limits.BodyBytes) {
		return 0, fatal(base.StatusRequestEntityTooLarge, "the body exceeds %d bytes", limits.BodyBytes)
	}
	return int(n), nil
}

// headerValue returns the first value of a header, "" when it is absent.
func headerValue(h base.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
