package config

import (
	"fmt"
	"slices"
	"strings"
)

// pageHead opens the documentation page.
const pageHead = `# Configuration

<!-- Generated from the key registry in config/; run BERTH_UPDATE=1 go test ./config/ after a change there. -->

berth reads one configuration file (` + "`-c FILE`" + `): TOML, YAML, or ZLMediaKit's ` + "`config.ini`" + ` as it is. Names and meaning of
the keys are ZLMediaKit's; those marked *berth* are berth's own. [berth.sample.toml](../berth.sample.toml) lists every key with
its default, ` + "`berth config`" + ` prints the same, and ` + "`berth check -c FILE`" + ` validates a file without starting anything.

## Layers

A value comes from the highest layer that names its key:

| layer | example |
|---|---|
| built-in default | |
| file | ` + "`[rtp_proxy]`" + ` / ` + "`port_range = \"20000-29999\"`" + ` |
| environment | ` + "`BERTH_RTP_PROXY__PORT_RANGE=20000-29999`" + ` (section and key joined by two underscores, any case) |
| command line | ` + "`--set rtp_proxy.port_range=20000-29999`" + ` |
| runtime override | ` + "`setServerConfig`" + `, kept in the store under ` + "`state.dir`" + `; the file is never written |

Every layer is checked, also where a higher one wins, and every fault is reported at once with file, line, key, value and cure.
One fault refuses the whole configuration; at a reload everything then stays as it was.

## When a change takes effect

| class | takes effect |
|---|---|
| hot | at once, running sessions included |
| new | at once, for sessions, streams and attempts that begin afterwards |
| restart | after a full restart (` + "`berth restart`" + `, ` + "`SIGUSR2`" + ` or ` + "`restartServer`" + `); until then a reload lists it as pending |

A key that is removed from the file returns to its default.

## File formats

- **TOML and YAML** (.toml, .yaml, .yml): an unknown key is an error that names the nearest one, and so is a key that is set twice.
  Text must be text: a bare number for a key that holds text is refused. Lists may be arrays. YAML anchors and aliases are not accepted.
- **ZLMediaKit's config.ini** (.ini): ` + "`#` and `;`" + ` begin a comment only at the beginning of a line; everything after the first ` + "`=`" + ` is the
  value; the last of several lines for a key wins; nothing is quoted. Keys that berth does not serve yet are ignored with one warning;
  keys that ZLMediaKit does not have either are ignored with a warning each. Numbers are checked: what ZLMediaKit takes as 0 is an error here.
- A file is at most 1 MiB of UTF-8.

## Keys that differ from ZLMediaKit

- ` + "`http.port` is 8080 and `rtsp.port` is 8554" + ` by default, because 80 and 554 need privileges. The TLS ports are off.
- ` + "`rtp_proxy.port_range`" + ` is inclusive: every whole even/odd pair inside it is used, the last one too. 30000-30071 is 36 pairs.
- TLS listeners need ` + "`tls.cert_file` and `tls.key_file`" + `; without them they stay closed, with a warning.
`

// Markdown returns the documentation page of all keys.
func Markdown() string {
	var b strings.Builder
	b.WriteString(pageHead)
	section := ""
	for _, k := range registry() {
		if name, _, _ := strings.Cut(k.Name, "."); name != section {
			section = name
			fmt.Fprintf(&b, "\n## [%s]\n\n| key | default | allowed | class | meaning |\n|---|---|---|---|---|\n", section)
		}
		own := ""
		if k.Own {
			own = " *berth*"
		}
		value := "empty"
		if k.Default != "" {
			value = "`" + k.tomlDefault() + "`"
		}
		if k.DefaultNote != "" {
			value = k.DefaultNote
		}
		row := []string{"`" + k.Name + "`" + own, value, k.allowed(), k.Class.String(), k.Doc}
		for i := range row {
			row[i] = cell.Replace(row[i])
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	b.WriteString("\n## ZLMediaKit's keys that are not served yet\n\n")
	b.WriteString("A config.ini may hold them; in TOML and YAML, in the environment and on the command line they are errors.\n\n")
	for _, section := range sectionsOf(Unserved()) {
		fmt.Fprintf(&b, "- %s\n", strings.Join(section, ", "))
	}
	return b.String()
}

// cell keeps a text from ending a table cell.
var cell = strings.NewReplacer("|", `\|`)

// sectionsOf groups sorted key names by section, in code quotes.
func sectionsOf(names []string) [][]string {
	var groups [][]string
	last := ""
	for _, name := range slices.Sorted(slices.Values(names)) {
		section, _, _ := strings.Cut(name, ".")
		if section != last {
			groups = append(groups, nil)
			last = section
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], "`"+name+"`")
	}
	return groups
}
