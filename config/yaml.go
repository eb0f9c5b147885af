package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	kyaml "github.com/knadh/koanf/parsers/yaml"
	"go.yaml.in/yaml/v3"
)

// yamlFormat is YAML 1.2 in one document without anchors and aliases, which could multiply a small file
// into a large one.
func yamlFormat() format {
	return format{parser: kyaml.Parser(), index: indexYAML, lineOf: yamlErrorLine, prefix: yamlPrefix}
}

// yamlPrefix is what the YAML parser puts before a reason.
var yamlPrefix = regexp.MustCompile(`^yaml: (unmarshal errors:\s+)?(line \d+: )?`)

// yamlLine is how the YAML parser says where a value is wrong.
var yamlLine = regexp.MustCompile(`line (\d+): `)

// maxLineSearch bounds the bytes that are parsed to find the line of a syntax error.
const maxLineSearch = 4 << 20

// yamlErrorLine returns the line of a parser's error. The parser's own number is right for values, but for
// syntax it is where the block around the error begins; so the error is looked for as the line after the
// longest beginning of the file that can be parsed.
func yamlErrorLine(data []byte, err error) int {
	var values *yaml.TypeError
	lines := bytes.SplitAfter(data, []byte("\n"))
	if errors.As(err, &values) || len(lines)*len(data) > maxLineSearch {
		m := yamlLine.FindStringSubmatch(err.Error())
		if m == nil {
			return 0
		}
		n, _ := strconv.Atoi(m[1]) // 0 when it is too long to be a line
		return n
	}
	good, length := 0, 0
	for i, line := range lines {
		length += len(line)
		var root yaml.Node
		if yaml.Unmarshal(data[:length], &root) == nil {
			good = i + 1
		}
	}
	return min(good+1, len(lines))
}

// indexYAML finds the line of every key, keys that are set twice, and what this format does not allow.
// A syntax error is left to the parser.
func indexYAML(data []byte) (map[string]int, []lineFlaw) {
	x := keyLines{lines: map[string]int{}}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := d.Decode(&root); err != nil {
		return x.lines, nil
	}
	x.yamlNode(&root, "")
	var second yaml.Node
	if err := d.Decode(&second); !errors.Is(err, io.EOF) { // a broken second document is one too
		x.problems = append(x.problems, lineFlaw{line: second.Line, flaw: flaw{"begins a second document", "keep one document in the file"}})
	}
	return x.lines, x.problems
}

// yamlNode walks one node; path is empty at the root.
func (k *keyLines) yamlNode(n *yaml.Node, path string) {
	refuse := func(problem, cure string) {
		k.problems = append(k.problems, lineFlaw{line: n.Line, key: path, flaw: flaw{problem, cure}})
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		refuse("uses an anchor or alias", "write the value out")
	case n.Kind == yaml.DocumentNode:
		for _, c := range n.Content {
			k.yamlNode(c, path)
		}
	case n.Kind == yaml.MappingNode:
		k.yamlMapping(n, path)
	case n.Kind == yaml.SequenceNode && path != "":
		for _, c := range n.Content {
			if c.Kind == yaml.AliasNode || c.Anchor != "" {
				k.yamlNode(c, path)
			}
		}
	case path == "" && n.Tag != "!!null":
		refuse("is not a configuration", "write sections with key: value lines")
	}
}

func (k *keyLines) yamlMapping(n *yaml.Node, path string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() != "!!str" {
			k.problems = append(k.problems, lineFlaw{line: key.Line, key: path, flaw: flaw{"has a key that is not plain text", "write key: value"}})
			continue
		}
		name := key.Value
		if path != "" {
			name = strings.Join([]string{path, key.Value}, ".")
		}
		if value.Kind == yaml.MappingNode {
			k.section(name, key.Line)
		} else {
			k.add(name, key.Line)
		}
		k.yamlNode(value, name)
	}
}
