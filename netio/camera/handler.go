package camera

import (
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// handler is the camera as gortsplib's server sees it. Its methods are called from the server's goroutines.
type handler Camera

var (
	_ gortsplib.ServerHandlerOnConnOpen     = (*handler)(nil)
	_ gortsplib.ServerHandlerOnConnClose    = (*handler)(nil)
	_ gortsplib.ServerHandlerOnSessionOpen  = (*handler)(nil)
	_ gortsplib.ServerHandlerOnSessionClose = (*handler)(nil)
	_ gortsplib.ServerHandlerOnRequest      = (*handler)(nil)
	_ gortsplib.ServerHandlerOnResponse     = (*handler)(nil)
	_ gortsplib.ServerHandlerOnDescribe     = (*handler)(nil)
	_ gortsplib.ServerHandlerOnSetup        = (*handler)(nil)
	_ gortsplib.ServerHandlerOnPlay         = (*handler)(nil)
	_ gortsplib.ServerHandlerOnGetParameter = (*handler)(nil)
)

// OnConnOpen implements gortsplib's handler.
func (h *handler) OnConnOpen(ctx *gortsplib.ServerHandlerOnConnOpenCtx) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[ctx.Conn] = struct{}{}
}

// OnConnClose implements gortsplib's handler.
func (h *handler) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, ctx.Conn)
}

// OnSessionOpen implements gortsplib's handler.
func (h *handler) OnSessionOpen(ctx *gortsplib.ServerHandlerOnSessionOpenCtx) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[ctx.Session] = struct{}{}
}

// OnSessionClose implements gortsplib's handler.
func (h *handler) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, ctx.Session)
}

// OnRequest implements gortsplib's handler. SETUPs are let in one by one: the library looks through the other sessions of a stream without a lock while they may be at
// theirs.
func (h *handler) OnRequest(conn *gortsplib.ServerConn, req *base.Request) {
	if req.Method == base.Setup {
		h.setups.Lock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests[req.Method]++
	if req.Method == base.Setup {
		h.setter = conn
	}
}

// OnResponse implements gortsplib's handler; it follows every request.
func (h *handler) OnResponse(conn *gortsplib.ServerConn, _ *base.Response) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.setter == conn {
		h.setter = nil
		h.setups.Unlock()
	}
}

// OnDescribe implements gortsplib's handler.
func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if res, err := h.refuse(ctx.Conn, ctx.Request, ctx.Path); res != nil {
		return res, nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status != 0 {
		return &base.Response{StatusCode: h.status}, nil, nil
	}
	if to := h.redirects[strings.Trim(ctx.Path, "/")]; to != "" {
		return &base.Response{StatusCode: base.StatusFound, Header: base.Header{"Location": base.HeaderValue{to}}}, nil, nil
	}
	ctx.Conn.SetUserData(h.current) // its SETUP belongs to what was described to it
	return &base.Response{StatusCode: base.StatusOK}, h.current.stream, nil
}

// OnSetup implements gortsplib's handler.
func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if res, err := h.refuse(ctx.Conn, ctx.Request, ctx.Path); res != nil {
		return res, nil, err
	}
	udp := ctx.Transport.Protocol == gortsplib.ProtocolUDP
	if udp && h.refuseUDP.Load() {
		return &base.Response{StatusCode: base.StatusUnsupportedTransport}, nil, nil
	}
	if stream := ctx.Session.Stream(); stream != nil {
		return &base.Response{StatusCode: base.StatusOK}, stream, nil // every SETUP of a session is for one stream
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := ctx.Conn.UserData().(*feed)
	if !ok {
		f = h.current
	}
	if udp && h.silentUDP.Load() {
		f = h.silent[f]
	}
	return &base.Response{StatusCode: base.StatusOK}, f.stream, nil
}

// OnPlay implements gortsplib's handler.
func (h *handler) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnGetParameter implements gortsplib's handler; clients use it as keep-alive.
func (h *handler) OnGetParameter(*gortsplib.ServerHandlerOnGetParameterCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// refuse answers what an unknown path or missing credentials get, or nil.
func (h *handler) refuse(conn *gortsplib.ServerConn, req *base.Request, path string) (*base.Response, error) {
	if len(h.opts.Paths) > 0 && !slices.Contains(h.opts.Paths, strings.Trim(path, "/")) {
		return &base.Response{StatusCode: base.StatusNotFound}, nil
	}
	if h.opts.User != "" && !conn.VerifyCredentials(req, h.opts.User, h.opts.Password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, liberrors.ErrServerAuth{}
	}
	return nil, nil
}
