package config

import (
	"slices"
	"strings"
)

// unknownKey says why a name is not a key, and which one was likely meant.
func unknownKey(name string) *flaw {
	if isUnserved(name) {
		return notServed(name)
	}
	if isSection(name) {
		return &flaw{"is a section", "write its keys below it"}
	}
	names := make([]string, 0, len(registry()))
	for _, k := range registry() {
		names = append(names, k.Name)
	}
	cure := "remove it; `berth config` lists all keys"
	if near := nearest(name, names); near != "" {
		cure = "did you mean " + near + "?"
	}
	return &flaw{"is not a key", cure}
}

// notServed is the answer for a key that ZLMediaKit has and this version does not serve.
func notServed(name string) *flaw {
	return &flaw{"is a key of ZLMediaKit that this version does not serve yet", "remove " + name}
}

// isSection reports whether any key, served or not, is in a section of that name.
func isSection(name string) bool {
	in := func(key string) bool { return strings.HasPrefix(key, name+".") }
	return slices.ContainsFunc(registry(), func(k Key) bool { return in(k.Name) }) || slices.ContainsFunc(unservedNames(), in)
}

// maxNameBytes is how long a mistyped name may be for a suggestion to be sought.
const maxNameBytes = 64

// nearest returns the candidate that name was likely meant to be, or nothing if none is close. Case and
// underscores do not count, so keepalive_second finds keepAliveSecond.
func nearest(name string, candidates []string) string {
	if len(name) > maxNameBytes {
		return ""
	}
	plain := foldName(name)
	best, least := "", 2+len(plain)/8
	for _, c := range candidates {
		folded := foldName(c)
		if len(folded)-len(plain) > least || len(plain)-len(folded) > least {
			continue // the distance is at least the difference in length
		}
		if d := editDistance(plain, folded); d < least || (d == least && best == "") {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	// The right key in the wrong section, if there is only one.
	_, key, _ := strings.Cut(name, ".")
	for _, c := range candidates {
		if _, k, _ := strings.Cut(c, "."); k != "" && foldName(k) == foldName(key) {
			if best != "" {
				return ""
			}
			best = c
		}
	}
	return best
}

func foldName(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "") }

// editDistance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b
// (optimal string alignment).
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
