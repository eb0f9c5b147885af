package config

import (
	"errors"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	ktoml "github.com/knadh/koanf/parsers/toml/v2"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlFormat is TOML 1.0.
func tomlFormat() format {
	return format{
		parser: ktoml.Parser(), index: indexTOML, prefix: tomlPrefix,
		lineOf: func(_ []byte, err error) int {
			var at *toml.DecodeError
			if errors.As(err, &at) {
				line, _ := at.Position()
				return line
			}
			return 0
		},
	}
}

// tomlPrefix is what the TOML parser puts before a reason.
var tomlPrefix = regexp.MustCompile(`^toml: `)

// indexTOML finds the line of every key, and keys that are set twice. It stops at a syntax error, which
// the parser reports.
func indexTOML(data []byte) (map[string]int, []lineFlaw) {
	x := tomlIndex{keyLines: keyLines{lines: map[string]int{}}}
	for i, b := range data {
		if b == '\n' {
			x.ends = append(x.ends, i)
		}
	}
	var p unstable.Parser
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			var line int
			table, line = x.key(e, nil)
			x.section(strings.Join(table, "."), line)
		case unstable.KeyValue:
			x.keyValue(e, table)
		}
	}
	return x.lines, x.problems
}

// tomlIndex turns byte offsets into lines and collects keys.
type tomlIndex struct {
	keyLines
	ends []int // offsets of the line ends
}

// keyValue enters a key, or the keys of its inline table.
func (x *tomlIndex) keyValue(e *unstable.Node, table []string) {
	path, line := x.key(e, table)
	if e.Value().Kind != unstable.InlineTable {
		x.add(strings.Join(path, "."), line)
		return
	}
	x.section(strings.Join(path, "."), line)
	for it := e.Value().Children(); it.Next(); {
		x.keyValue(it.Node(), path)
	}
}

// key returns the path of a table or key below prefix, and its line.
func (x *tomlIndex) key(e *unstable.Node, prefix []string) (path []string, line int) {
	path = slices.Clone(prefix)
	for it := e.Key(); it.Next(); {
		path = append(path, string(it.Node().Data))
		line = 1 + sort.SearchInts(x.ends, int(it.Node().Raw.Offset))
	}
	return path, line
}

// keyLines collects where keys and sections stand and which keys are set twice.
type keyLines struct {
	lines    map[string]int
	problems []lineFlaw
}

// section enters where a section begins, for faults about the section itself.
func (k *keyLines) section(name string, line int) {
	if _, known := k.lines[name]; !known {
		k.lines[name] = line
	}
}

func (k *keyLines) add(name string, line int) {
	if first, twice := k.lines[name]; twice {
		k.problems = append(k.problems, lineFlaw{line: line, key: name, flaw: flaw{
			problem: "is set twice, first in line " + strconv.Itoa(first), cure: "keep one of the two",
		}})
	}
	k.lines[name] = line
}
