package rtsp

import (
	"strconv"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// pullAuth answers a source's challenges (RFC 2617, RFC 7616). The library answers the first challenge of a connection and keeps its nonce for ever; cameras
// expire theirs, so the newest challenge is kept here and every request is signed with it. Owned by the library's loop.
type pullAuth struct {
	user, password string
	sender         *auth.Sender // nil before the first challenge
	opaque         string       // of the challenge, to be sent back unchanged (RFC 2617 section 3.2.1)
	nonces         int          // challenges seen
}

// challenged learns from a 401.
func (a *pullAuth) challenged(res *base.Response) {
	if a.user == "" || res.StatusCode != base.StatusUnauthorized {
		return
	}
	sender := &auth.Sender{WWWAuth: res.Header["WWW-Authenticate"], User: a.user, Pass: a.password}
	if sender.Initialize() != nil {
		return // no method that is known here; the library says so
	}
	a.sender, a.opaque = sender, ""
	a.nonces++
	for _, value := range res.Header["WWW-Authenticate"] {
		var h headers.Authenticate
		if h.Unmarshal(base.HeaderValue{value}) == nil && h.Opaque != nil {
			a.opaque = *h.Opaque
		}
	}
}

// sign puts credentials on a request, in place of those that the library may have put there.
func (a *pullAuth) sign(req *base.Request) {
	if a.sender == nil {
		return
	}
	a.sender.AddAuthorization(req)
	if v := req.Header["Authorization"]; a.opaque != "" && len(v) == 1 && len(v[0]) > 7 && v[0][:7] == "Digest " {
		req.Header["Authorization"] = base.HeaderValue{v[0] + ", opaque=" + strconv.Quote(a.opaque)}
	}
}
