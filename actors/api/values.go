package api

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// text returns an argument's value, empty when it was not given.
func (a args) text(name string) string { return a.values[name].value }

// require fails unless every name has a value.
func (a args) require(names []string) error {
	for _, name := range names {
		if a.text(name) != "" {
			continue
		}
		err := missing(names)
		if a.unread != "" {
			err.msg += " (" + a.unread + ")"
		}
		return err
	}
	return nil
}

// boolean reads 0, 1, true or false in any case; empty is fallback. ZLMediaKit reads everything else as false; here it is an error, since the caller
// means something.
func (a args) boolean(name string, fallback bool) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(a.text(name))) {
	case "":
		return fallback, nil
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, invalid("%s = %.40q is not a truth value; write 1, 0, true or false", name, a.text(name))
}

// optionalBool is boolean for an argument whose absence means the configured default.
func (a args) optionalBool(name string) (*bool, error) {
	if strings.TrimSpace(a.text(name)) == "" {
		return nil, nil
	}
	v, err := a.boolean(name, false)
	return &v, err
}

// integer reads a whole number from lo to hi; empty is fallback. ZLMediaKit reads `12abc` as 12 and `abc` as 0; here both are errors.
func (a args) integer(name string, fallback, lo, hi int64) (int64, error) {
	s := strings.TrimSpace(a.text(name))
	if s == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < lo || n > hi {
		return 0, invalid("%s = %.40q is not a whole number from %d to %d", name, s, lo, hi)
	}
	return n, nil
}

// seconds reads a span in seconds, with fractions, from 0 to limit; empty and 0 are fallback.
func (a args) seconds(name string, fallback, limit time.Duration) (time.Duration, error) {
	s := strings.TrimSpace(a.text(name))
	if s == "" {
		return fallback, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n <= limit.Seconds()) { // a NaN is in no range
		return 0, invalid("%s = %.40q is not a number of seconds from 0 to %g", name, s, limit.Seconds())
	}
	if n == 0 {
		return fallback, nil
	}
	return max(time.Duration(n*float64(time.Second)), time.Millisecond), nil
}

// port reads a TCP or UDP port; empty is 0, which filters nothing.
func (a args) port(name string) (uint16, error) {
	n, err := a.integer(name, 0, 0, 65535)
	return uint16(n), err
}

// address reads an IP address; empty is the zero Addr, which filters nothing.
func (a args) address(name string) (netip.Addr, error) {
	s := strings.TrimSpace(a.text(name))
	if s == "" {
		return netip.Addr{}, nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, invalid("%s = %.60q is not an IP address", name, s)
	}
	return addr.Unmap(), nil
}

// String lists the arguments for the log, secrets and passwords left out.
func (a args) String() string {
	var b strings.Builder
	for key, v := range a.values {
		shown := v.value
		switch {
		case strings.Contains(key, "secret"), strings.Contains(key, "pwd"), strings.Contains(key, "password"), strings.Contains(key, "passphrase"),
			strings.Contains(key, "auth_users"):
			shown = "***"
		case strings.Contains(shown, "://"):
			shown = withoutCredentials(shown)
		}
		_, _ = fmt.Fprintf(&b, "%s=%.200q ", v.name, shown)
	}
	return strings.TrimSpace(b.String())
}

// withoutCredentials hides user and password of a URL, also of one that does not parse.
func withoutCredentials(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 0 {
		return raw
	}
	return scheme + "://***@" + rest[at+1:]
}
