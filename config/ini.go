package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"gopkg.in/ini.v1"
)

// iniFormat is ZLMediaKit's config.ini: sections, key=value lines, comments only at the beginning of a
// line, everything after the first = is the value, later duplicates win, and nothing is quoted or escaped.
func iniFormat() format {
	return format{
		parser: iniParser{},
		index: func(data []byte) (map[string]int, []lineFlaw) {
			entries, problems := scanINI(data)
			lines := make(map[string]int, len(entries))
			for _, e := range entries {
				lines[e.name()] = e.line
			}
			return lines, problems
		},
		lineOf:  func([]byte, error) int { return 0 },
		lenient: true,
	}
}

// iniEntry is one key=value line.
type iniEntry struct {
	line                int
	section, key, value string
}

func (e iniEntry) name() string {
	if e.section == "" {
		return e.key
	}
	return e.section + "." + e.key
}

// scanINI cuts the text into entries by ZLMediaKit's rules. A line without = is a key with an empty value.
func scanINI(data []byte) (entries []iniEntry, problems []lineFlaw) {
	section, lost := "", false
	line := 0
	for raw := range bytes.Lines(data) {
		line++
		s := string(bytes.TrimSpace(raw))
		if s == "" || s[0] == '#' || s[0] == ';' {
			continue // comments may be in any encoding
		}
		f := unreadableINI(s)
		if f != nil {
			problems = append(problems, lineFlaw{flaw: *f, line: line})
		}
		if s[0] == '[' {
			// Keys after an unreadable section line belong nobody knows where.
			if lost = f != nil; !lost {
				section = strings.TrimSpace(s[1:strings.IndexByte(s, ']')])
			}
			continue
		}
		if f != nil || lost {
			continue
		}
		key, value, _ := strings.Cut(s, "=")
		e := iniEntry{line: line, section: section, key: strings.TrimSpace(key), value: strings.TrimSpace(value)}
		if entries = append(entries, e); len(entries) > maxEntries {
			return nil, append(problems, lineFlaw{line: line, flaw: tooManyKeys()})
		}
	}
	return entries, problems
}

// unreadableINI refuses the lines that have no sensible reading, or that ini.v1 would read its own way.
func unreadableINI(s string) *flaw {
	switch {
	case !utf8.ValidString(s):
		return &flaw{"is not UTF-8 text", "save the file as UTF-8"}
	case s[0] == '[' && strings.IndexByte(s, ']') < 0:
		return &flaw{"begins a section without closing it", "write [section]"}
	case s[0] == '[' && strings.TrimSpace(s[1:strings.IndexByte(s, ']')]) == "":
		return &flaw{"begins a section without a name", "write [section]"}
	case s[0] == '[' && strings.ContainsAny(s[:strings.IndexByte(s, ']')], "=\"`#;"), s[0] == '[' && strings.IndexByte(s[1:], '[') >= 0:
		return &flaw{"begins a section whose name is not plain", "write [section]"}
	case s[0] == '[' || !strings.ContainsAny(s[:1], "=\"`") && s[0] != '-':
		return nil
	case s[0] == '=':
		return &flaw{"has no key", "write key=value, or begin the line with # for a comment"}
	}
	return &flaw{fmt.Sprintf("has a key that begins with %q", s[:1]), "write the key's plain name"}
}

// iniParser is a koanf.Parser for ZLMediaKit's dialect, on ini.v1.
type iniParser struct{}

// Unmarshal returns every value as text by its full key name. It leaves out the lines that the index has
// reported as faults, so that the others are judged as well. ini.v1 is given full names and no sections,
// because its section named DEFAULT is special and ZLMediaKit's is not.
func (iniParser) Unmarshal(data []byte) (map[string]any, error) {
	entries, _ := scanINI(data)
	plain := bytes.NewBufferString("\n") // ini.v1 looks for a byte order mark in the first bytes
	for _, e := range entries {
		value, err := shield(e.value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", e.line, err)
		}
		_, _ = fmt.Fprintf(plain, "%s=%s\n", e.name(), value) // a Buffer's Write never fails
	}
	f, err := ini.LoadSources(ini.LoadOptions{
		IgnoreInlineComment: true, IgnoreContinuation: true, PreserveSurroundedQuote: true,
		KeyValueDelimiters: "=",
	}, plain.Bytes())
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(entries))
	for _, k := range f.Section(ini.DefaultSection).Keys() {
		out[k.Name()] = k.Value()
	}
	return out, nil
}

// Marshal is not needed: berth never writes a config.ini.
func (iniParser) Marshal(map[string]any) ([]byte, error) {
	return nil, fmt.Errorf("config.ini is never written")
}

// shield keeps ini.v1 from reading a leading backtick or triple quote as the start of a quoted text, which
// ZLMediaKit's dialect does not have: it wraps the value in the other of the two.
func shield(value string) (string, error) {
	const backtick, triple = "`", `"""`
	switch {
	case !strings.HasPrefix(value, backtick) && !strings.HasPrefix(value, triple):
		return value, nil
	case !strings.Contains(value, triple):
		return triple + value + triple, nil
	case !strings.Contains(value, backtick):
		return backtick + value + backtick, nil
	}
	return "", fmt.Errorf("the value begins with a quote and holds both backticks and triple quotes, which this format cannot carry")
}
