package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"berth/config"
	"berth/netio/httpd"
)

// peerOf returns the address of the client's socket. Forwarding headers are not looked at: anybody can write them.
func peerOf(r *http.Request) netip.AddrPort {
	if info, ok := httpd.Conn(r.Context()); ok {
		return info.Peer
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
}

// inAllowedRange applies http.allow_ip_range, with ZLMediaKit's code and text.
func inAllowedRange(cfg *config.Config, peer netip.AddrPort) *callError {
	if cfg.HTTP.AllowIPRange.Allows(peer.Addr()) {
		return nil
	}
	return &callError{code: codeAuthFailed, msg: "Your ip is not allowed to access the service."}
}

// authorise decides whether a call may go on. trusted means that it came from this machine without the secret, as
// api.allow_loopback permits; such a call is not shown secrets.
func (s *service) authorise(cfg *config.Config, r *http.Request, a args) (trusted bool, refusal *callError) {
	peer := peerOf(r)
	if err := inAllowedRange(cfg, peer); err != nil {
		s.metrics.refusedCalls.WithLabelValues("address").Inc()
		return false, err
	}
	given := a.text("secret")
	if given == "" {
		given = r.Header.Get("secret")
	}
	if given == "" && cfg.API.AllowLoopback && peer.Addr().IsLoopback() && notFromForeignPage(r) {
		return true, nil
	}
	if wait := s.failures.blocked(peer.Addr(), cfg.Limits.APIFailuresPerMinute); wait > 0 {
		s.metrics.refusedCalls.WithLabelValues("rate").Inc()
		seconds := int(wait.Seconds()) + 1
		return false, &callError{
			code: codeAuthFailed, after: seconds,
			msg: fmt.Sprintf("too many wrong secrets from this address (limits.api_failures_per_minute); try again in %d s", seconds),
		}
	}
	if s.rightSecret(cfg, given) {
		return false, nil
	}
	refusal = &callError{code: codeAuthFailed, msg: "Please login first"}
	if given == "" {
		s.metrics.refusedCalls.WithLabelValues("no_secret").Inc()
		return false, refusal // asking without a secret is no attempt to guess it
	}
	s.metrics.refusedCalls.WithLabelValues("secret").Inc()
	if count, first := s.failures.add(peer.Addr(), given); first || count == cfg.Limits.APIFailuresPerMinute {
		s.log.Warn().Stringer("peer", peer).Str("path", r.URL.Path).Int("failures", count).
			Int("limit", cfg.Limits.APIFailuresPerMinute).Msg("wrong API secret")
	}
	return false, refusal
}

// rightSecret compares in constant time. A server that has no secret lets nobody in.
func (s *service) rightSecret(cfg *config.Config, given string) bool {
	want := s.secret(cfg)
	if want == "" || given == "" {
		return false
	}
	// Hashing first makes both sides equally long, so that the length does not leak either.
	g, w := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(g[:], w[:]) == 1
}

// secret is what calls must present: the configured one, or the random one of this installation.
func (s *service) secret(cfg *config.Config) string {
	if cfg.API.NeedsSecret() {
		return s.opts.Secret()
	}
	return cfg.API.Secret
}

// notFromForeignPage keeps web pages of other sites, open in a browser on this machine, from using api.allow_loopback: neither by a request across
// sites nor by a name of theirs that resolves to this machine.
func notFromForeignPage(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if addr, err := netip.ParseAddr(trimBrackets(host)); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}
