package rtsp

import (
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// Credential is one account.
type Credential struct{ User, Password string }

// AuthOptions say who is asked for an account, and how (RFC 2326 D.1.2, RFC 7616, RFC 7617).
type AuthOptions struct {
	Realm   string       // shown to people; default "berth"
	Basic   bool         // ask for Basic instead of Digest
	Users   []Credential // none: nobody is asked
	Publish bool         // ask publishers
	Play    bool         // ask viewers
}

// maxAuthFailures is how many wrong answers a connection may give; the first request of most clients, without credentials, is no answer.
const maxAuthFailures = 5

// authenticator checks requests of one connection. The nonce is the connection's own, so that an overheard answer is of no use on another one.
type authenticator struct {
	opts     AuthOptions
	methods  []auth.VerifyMethod
	nonce    string
	failures int
}

func newAuthenticator(opts AuthOptions, nonce string) *authenticator {
	if opts.Realm == "" {
		opts.Realm = "berth"
	}
	a := &authenticator{opts: opts, nonce: nonce}
	if opts.Basic {
		a.methods = []auth.VerifyMethod{auth.VerifyMethodBasic}
	} else {
		// In this order: ffmpeg and live555 take the last Digest challenge and know only MD5; others choose the strongest.
		a.methods = []auth.VerifyMethod{auth.VerifyMethodDigestSHA256, auth.VerifyMethodDigestMD5}
	}
	return a
}

// required reports whether a request of that kind needs an account.
func (a *authenticator) required(publish bool) bool {
	if len(a.opts.Users) == 0 {
		return false
	}
	return publish && a.opts.Publish || !publish && a.opts.Play
}

// challenge is the WWW-Authenticate header of a 401.
func (a *authenticator) challenge() base.HeaderValue {
	return auth.GenerateWWWAuthenticate(a.methods, a.opts.Realm, a.nonce)
}

// allow checks the request's Authorization header and counts wrong answers.
func (a *authenticator) allow(req *base.Request) bool {
	value := req.Header["Authorization"]
	if len(value) == 0 {
		return false
	}
	ok := len(value) == 1 && (a.opts.Basic && a.basic(value[0]) || !a.opts.Basic && a.digest(req))
	if !ok {
		a.failures++
	}
	return ok
}

// exhausted reports whether the connection has guessed often enough.
func (a *authenticator) exhausted() bool { return a.failures >= maxAuthFailures }

// basic compares with every account in constant time; the password may contain colons.
func (a *authenticator) basic(value string) bool {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return false
	}
	user, password, ok := strings.Cut(string(plain), ":")
	found := 0
	for _, c := range a.opts.Users {
		found |= subtle.ConstantTimeCompare([]byte(user), []byte(c.User)) & subtle.ConstantTimeCompare([]byte(password), []byte(c.Password))
	}
	return ok && found == 1
}

func (a *authenticator) digest(req *base.Request) bool {
	var given headers.Authorization
	if given.Unmarshal(req.Header["Authorization"]) != nil || given.Method != headers.AuthMethodDigest || req.URL == nil {
		return false
	}
	for _, c := range a.opts.Users {
		if c.User == given.Username {
			return auth.Verify(req, c.User, c.Password, a.methods, a.opts.Realm, a.nonce) == nil
		}
	}
	return false
}
