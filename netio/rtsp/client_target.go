package rtsp

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// pullTarget is where a pull goes and with which credentials.
type pullTarget struct {
	url            *base.URL // without credentials
	user, password string    // user "" means none
}

// parsePullTarget reads a source URL. Cameras' passwords are full of characters that a URL would have to escape, and people do not: credentials are cut out by hand,
// up to the last @ that can end them.
func parsePullTarget(raw string) (pullTarget, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return pullTarget{}, errors.New("it has no scheme")
	}
	var t pullTarget
	if userinfo, host, ok := cutUserinfo(rest); ok {
		user, password, _ := strings.Cut(userinfo, ":")
		t.user, t.password = unescape(user), unescape(password)
		rest = host
	}
	// A fragment has no meaning in RTSP (RFC 2326 section 3.2), and some cameras' paths have a # in them.
	scheme = strings.ToLower(scheme)
	if scheme != "rtsp" && scheme != "rtsps" {
		return pullTarget{}, fmt.Errorf("its scheme is %q", scheme)
	}
	parsed, err := base.ParseURL(scheme + "://" + strings.ReplaceAll(rest, "#", "%23"))
	if err != nil {
		return pullTarget{}, errors.New("it does not parse") // the cause would quote what may be a password
	}
	if parsed.Hostname() == "" {
		return pullTarget{}, errors.New("it names no host")
	}
	if port := parsed.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return pullTarget{}, fmt.Errorf("port %s is not in 1-65535", port)
		}
	}
	parsed.User = nil
	t.url = parsed
	return t, nil
}

// cutUserinfo splits `user:password@host/path` (RFC 3986 section 3.2.1). The password may contain @, and / or ? if the part before them can be no host.
func cutUserinfo(rest string) (userinfo, host string, ok bool) {
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority = rest[:i]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 && isHostPort(authority[i+1:]) {
		return rest[:i], rest[i+1:], true
	}
	if isHostPort(authority) {
		return "", rest, false
	}
	for i := strings.LastIndexByte(rest, '@'); i >= 0; i = strings.LastIndexByte(rest[:i], '@') {
		after := rest[i+1:]
		if j := strings.IndexAny(after, "/?"); j >= 0 {
			after = after[:j]
		}
		if isHostPort(after) {
			return rest[:i], rest[i+1:], true
		}
	}
	return "", rest, false
}

func isHostPort(s string) bool {
	u, err := url.Parse("rtsp://" + s)
	return err == nil && u.Hostname() != "" && u.User == nil && !strings.Contains(s, "#")
}

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// requestURL is the target as the library wants it: with credentials, which it takes out again before it sends a request.
func (t pullTarget) requestURL() *base.URL {
	u := t.url.Clone()
	if t.user != "" {
		u.User = url.UserPassword(t.user, t.password)
	}
	return u
}

// address is host and port to connect to.
func (t pullTarget) address() string {
	port := t.url.Port()
	if port == "" {
		if port = "554"; t.url.Scheme == "rtsps" { // RFC 2326 section 3.2, RFC 7826 section 22.14.3
			port = "322"
		}
	}
	return net.JoinHostPort(t.url.Hostname(), port)
}

// follow returns where a redirect leads (RFC 2326 section 11.2). Credentials stay behind when the host or its port changes, and TLS is never given up.
func (t pullTarget) follow(location string) (pullTarget, error) {
	next, err := parsePullTarget(location)
	if strings.HasPrefix(location, "/") {
		next, err = parsePullTarget(t.url.Scheme + "://" + t.url.Host + location)
	}
	if err != nil {
		return pullTarget{}, fmt.Errorf("redirected to an address that is no source: %w", err)
	}
	if t.url.Scheme == "rtsps" && next.url.Scheme != "rtsps" {
		return pullTarget{}, fmt.Errorf("redirected from rtsps to %s, which would give up encryption", next.safe())
	}
	if next.user == "" && strings.EqualFold(next.address(), t.address()) {
		next.user, next.password = t.user, t.password
	}
	return next, nil
}

// secretInURL matches passwords that cameras want in path or query.
var secretInURL = regexp.MustCompile(`(?i)((?:pass|passwd|password|pwd|token|secret)=)[^&_/?;]*`)

// safe returns the target for logs and errors.
func (t pullTarget) safe() string {
	text := secretInURL.ReplaceAllString(t.url.String(), "${1}***")
	// An @ behind the host may have been meant to end a password that has a slash in it.
	if i := strings.LastIndexByte(text, '@'); i >= 0 && t.user != "" {
		text = t.url.Scheme + "://" + t.url.Host + "/***" + text[i:]
	}
	return text
}

// SafeURL returns a source URL without credentials, for logs: neither those before the host nor passwords in path or query. What cannot be a URL is not shown at all.
func SafeURL(raw string) string {
	t, err := parsePullTarget(raw)
	if err != nil {
		return "(not a URL)"
	}
	return t.safe()
}
