package config

import (
	"net/url"
	"strings"
)

// maxWebAddress bounds a URL; no receiver needs more.
const maxWebAddress = 2048

// webAddress reads an http or https URL, or an empty text, which switches off what it is for.
func webAddress() codec[string] {
	c := text(maxWebAddress)
	c.kind, c.bounds = "URL", "an http:// or https:// URL of at most 2048 bytes, or empty: off"
	within := c.parse
	c.parse = func(s string) (string, *flaw) {
		s, f := within(s)
		if f != nil || s == "" {
			return s, f
		}
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https") {
			return "", &flaw{"is no URL that a hook could be posted to", "write http://HOST:PORT/PATH or https://HOST/PATH"}
		}
		return s, nil
	}
	return c
}
