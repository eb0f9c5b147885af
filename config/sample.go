package config

import (
	"fmt"
	"strconv"
	"strings"
)

// sampleHead opens the sample file.
const sampleHead = `# berth.toml: every key of berth at its default.
#
# Remove the # before a key to change it. A key that is left out has its default; a key that is removed
# returns to it at the next reload. Check a file with: berth check -c berth.toml
#
# A higher layer wins: default < this file < environment (BERTH_RTP_PROXY__PORT_RANGE=20000-29999)
# < command line (--set rtp_proxy.port_range=20000-29999) < setServerConfig at run time.
#
# Every key says when a change takes effect:
#   at once, running sessions included   with a reload: berth reload, SIGHUP or SIGUSR1
#   at once, for new sessions            with a reload; what runs already keeps the old value
#   after a full restart                 the reload lists it as pending; berth restart or SIGUSR2 applies it
`

// Sample returns a TOML file with every key at its default, commented out, and what there is to know
// about it. It loads as it is.
func Sample() string {
	var b strings.Builder
	b.WriteString(sampleHead)
	section := ""
	for _, k := range registry() {
		name, key, _ := strings.Cut(k.Name, ".")
		if name != section {
			section = name
			fmt.Fprintf(&b, "\n[%s]\n", section)
		} else {
			b.WriteString("\n")
		}
		for _, line := range wrap(k.Doc, sampleWidth) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		for _, line := range wrap("allowed: "+k.allowed(), sampleWidth) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		if k.DefaultNote != "" {
			for _, line := range wrap("default: "+k.DefaultNote, sampleWidth) {
				fmt.Fprintf(&b, "# %s\n", line)
			}
		}
		fmt.Fprintf(&b, "# takes effect: %s\n", k.Class.Effect())
		fmt.Fprintf(&b, "#%s = %s\n", key, k.tomlDefault())
	}
	return b.String()
}

// sampleWidth is the longest comment line of the sample, in bytes.
const sampleWidth = 110

// allowed says which values the key takes, with the unit of a bare number.
func (k Key) allowed() string {
	s := k.Bounds
	if k.Unit != "" {
		s += " " + k.Unit
	}
	if k.sep != "" {
		s += "; a TOML or YAML list will do"
	}
	return s
}

// tomlDefault writes the default as TOML.
func (k Key) tomlDefault() string {
	switch {
	case k.Type == truthValue:
		return strconv.FormatBool(k.Default == "1")
	case k.bare:
		return k.Default
	}
	return strconv.Quote(k.Default)
}

// wrap breaks text at spaces into lines of at most width bytes where words allow it.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
