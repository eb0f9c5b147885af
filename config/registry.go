package config

import (
	"slices"
	"sync"
)

// Key describes one key that this version serves.
type Key struct {
	// Name is section.key, as files, API and messages write it; case-sensitive.
	Name string
	// Type is the value type in words, such as "port range" or "whole milliseconds".
	Type string
	// Default is the default in its text form.
	Default string
	// DefaultNote explains a default that depends on the machine; usually empty.
	DefaultNote string
	// Bounds says which values are allowed, in words.
	Bounds string
	// Unit is the unit of a bare number; empty where the value has none or carries its own.
	Unit string
	// Doc is one line that says what the key does.
	Doc string
	// Class says when a change takes effect.
	Class Class
	// Secret values are never shown in messages, verdicts or digests.
	Secret bool
	// FileOnly keys cannot be set by a runtime override, because they say where overrides are kept.
	FileOnly bool
	// Own marks a key of berth's own, which ZLMediaKit does not have.
	Own bool

	sep    string                      // joins a native array's items; empty when the key is no list
	quoted bool                        // text that a TOML or YAML number would silently change
	bare   bool                        // written without quotes in TOML: number or truth value
	assign func(*Config, string) *flaw // sets the field from text, or says why not
	text   func(*Config) string        // the field in its text form
	carry  func(to, from *Config)      // copies the field
}

// Check validates one value without a configuration and returns its canonical text form. The error
// says what is wrong and what to write instead; it does not see conflicts with other keys.
func (k Key) Check(value string) (string, error) {
	var scratch Config
	if f := k.assign(&scratch, value); f != nil {
		return "", &InvalidError{Faults: []Fault{{
			Key: k.Name, Value: k.display(value), Problem: f.problem, Cure: f.cure,
		}}}
	}
	return k.text(&scratch), nil
}

// redacted stands for a secret value wherever a person or a log could see it.
const redacted = "******"

// display returns value as messages may show it.
func (k Key) display(value string) string {
	if k.Secret && value != "" {
		return redacted
	}
	return value
}

// spec binds a key to its field: what a registry file writes down for one key.
type spec[T any] struct {
	name   string
	class  Class
	codec  codec[T]
	def    T
	note   string
	doc    string
	secret bool
	own    bool
	fixed  bool // Key.FileOnly
	field  func(*Config) *T
}

// key turns the typed spec into the registry's untyped entry.
func (s spec[T]) key() Key {
	return Key{
		Name: s.name, Type: s.codec.kind, Default: s.codec.format(s.def), DefaultNote: s.note,
		Bounds: s.codec.bounds, Unit: s.codec.unit, Doc: s.doc, Class: s.class, Secret: s.secret, Own: s.own, FileOnly: s.fixed,
		sep: s.codec.sep, quoted: s.codec.quoted, bare: s.codec.bare,
		assign: func(c *Config, text string) *flaw {
			v, f := s.codec.parse(text)
			if f != nil {
				return f
			}
			*s.field(c) = v
			return nil
		},
		text:  func(c *Config) string { return s.codec.format(*s.field(c)) },
		carry: func(to, from *Config) { *s.field(to) = *s.field(from) },
	}
}

// registry returns every served key, in the order of the sample file. The slice is built once and
// shared: callers inside the package must not change it.
var registry = sync.OnceValue(func() []Key {
	return slices.Concat(
		apiKeys(), generalKeys(), protocolKeys(), httpKeys(), rtspKeys(), rtpKeys(), rtpProxyKeys(), poolKeys(),
		proxyKeys(), streamKeys(), hookKeys(), logKeys(), stateKeys(), tlsKeys(), observeKeys(), limitsKeys(),
	)
})

// byName indexes the registry by key name; never written after it is built.
var byName = sync.OnceValue(func() map[string]Key {
	m := make(map[string]Key, len(registry()))
	for _, k := range registry() {
		m[k.Name] = k
	}
	return m
})

// Keys returns every key that this version serves, in the order of the sample file.
func Keys() []Key { return slices.Clone(registry()) }

// Lookup returns the key of that exact name, and whether this version serves it.
func Lookup(name string) (Key, bool) {
	k, ok := byName()[name]
	return k, ok
}
