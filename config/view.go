package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Get returns the value of a key in its text form, secrets included; empty for a key that is not served.
func (c *Config) Get(name string) string {
	k, ok := Lookup(name)
	if !ok {
		return ""
	}
	return k.text(c)
}

// Display returns the value of a key as people may see it: secrets are redacted.
func (c *Config) Display(name string) string {
	k, ok := Lookup(name)
	if !ok {
		return ""
	}
	return k.display(k.text(c))
}

// Values returns every key with its value in text form, as getServerConfig answers: truth values are 0 and
// 1, numbers are digits, lists are joined. Secrets are in the clear. The map is the caller's.
func (c *Config) Values() map[string]string {
	m := make(map[string]string, len(registry()))
	for _, k := range registry() {
		m[k.Name] = k.text(c)
	}
	return m
}

// Source returns where the value of a key came from.
func (c *Config) Source(name string) Origin { return c.origins[name] }

// digestBytes is how much of the hash Digest shows.
const digestBytes = 8

// Digest returns 16 hex digits that are equal when all values are. Secret values are left out, so that it
// may stand in public metrics.
func (c *Config) Digest() string {
	h := sha256.New()
	for _, k := range registry() {
		if !k.Secret {
			_, _ = fmt.Fprintf(h, "%s=%q\n", k.Name, k.text(c)) // a hash's Write never fails
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:digestBytes])
}
