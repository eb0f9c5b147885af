package config

import (
	"cmp"
	"slices"
)

// Change is one key whose value differs between two snapshots.
type Change struct {
	// Key is the key's full name.
	Key string
	// Old and New are the values in text form; secrets are redacted.
	Old, New string
	// Class says when the new value takes effect.
	Class Class
	// Source is where the new value comes from.
	Source Origin
}

// classOf says when a change of k from older to newer takes effect. A reload puts another certificate to use, but only a full restart
// opens and closes the TLS listeners that come and go with the certificate.
func classOf(k Key, older, newer *Config) Class {
	if (k.Name == "tls.cert_file" || k.Name == "tls.key_file") && older.TLS.Enabled() != newer.TLS.Enabled() {
		return Restart
	}
	return k.Class
}

// Diff returns the keys whose values differ, sorted by name. Values that only come from another place do
// not count.
func Diff(older, newer *Config) []Change {
	var changes []Change
	for _, k := range registry() {
		was, is := k.text(older), k.text(newer)
		if was == is {
			continue
		}
		changes = append(changes, Change{
			Key: k.Name, Old: k.display(was), New: k.display(is), Class: classOf(k, older, newer), Source: newer.Source(k.Name),
		})
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Key, b.Key) })
	return changes
}

// Advance works out a reload: the snapshot that is in force after it, with next's values for keys that
// take effect without a full restart and running's for the others, and the changes that are left
// pending. Diff(running, inForce) is what the reload applies.
func Advance(running, next *Config) (inForce *Config, pending []Change) {
	inForce = &Config{origins: make(map[string]Origin, len(next.origins))}
	for _, k := range registry() {
		from := next
		if !classOf(k, running, next).Immediate() && k.text(running) != k.text(next) {
			from = running
		}
		k.carry(inForce, from)
		if o, ok := from.origins[k.Name]; ok {
			inForce.origins[k.Name] = o
		}
	}
	return inForce, Diff(inForce, next)
}
