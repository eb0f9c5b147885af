package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

const (
	// maxFileBytes bounds a configuration file; the sample with every key is a hundredth of it.
	maxFileBytes = 1 << 20
	// maxBrackets bounds the [ and { of a TOML or YAML file, and with them how deep its parser can recurse.
	maxBrackets = 4096
	// maxEntries bounds the keys of a file: the parsers compare each key of a section with all before it.
	maxEntries = 8192
)

// tooManyKeys is the flaw of a file that has more than maxEntries keys.
func tooManyKeys() flaw {
	return flaw{"has too many keys", fmt.Sprintf("at most %d are allowed", maxEntries)}
}

// document is a configuration file after parsing, before anything is known about keys.
type document struct {
	values  map[string]any // by full key name
	lines   map[string]int // where each key stands, from 1; the last place if there are several
	lenient bool           // ZLMediaKit's format, where unknown keys are ignored
	faults  []Fault
}

// format is one file format.
type format struct {
	parser  koanf.Parser
	index   func(data []byte) (lines map[string]int, problems []lineFlaw)
	lineOf  func(data []byte, err error) int // of a parser's error; 0 when it is not known
	prefix  *regexp.Regexp                   // what the parser puts before the reason; nil for nothing
	lenient bool
}

// bare returns a parser's reason without the parser's name and its own idea of the line.
func (f format) bare(err error) string {
	if f.prefix == nil {
		return err.Error()
	}
	return f.prefix.ReplaceAllString(err.Error(), "")
}

// lineFlaw is a flaw of the file's text at a line.
type lineFlaw struct {
	flaw
	line int
	key  string
}

// formatOf chooses the format by the file's extension; the zero format is none of ours.
func formatOf(file string) format {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".toml":
		return tomlFormat()
	case ".yaml", ".yml":
		return yamlFormat()
	case ".ini":
		return iniFormat()
	}
	return format{}
}

// readFile reads and parses a configuration file; every problem becomes a fault.
func readFile(file string, running bool) document {
	refuse := func(problem, cure string) document {
		return document{faults: []Fault{{Origin: Origin{Layer: LayerFile, File: file}, Problem: problem, Cure: cure}}}
	}
	if formatOf(file).parser == nil {
		return refuse("has no known format", "name it .toml, .yaml or .yml, or .ini for a ZLMediaKit config.ini")
	}
	// Asked before opening: opening a pipe would wait for its writer.
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		return refuse("is not a regular file", "give the path of a file")
	}
	var data []byte
	if err == nil {
		data, err = readBounded(file)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse("does not exist", "check the path, or write one with `berth config > "+filepath.Base(file)+"`")
	case err != nil:
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return refuse("cannot be read: "+err.Error(), "make it readable for the user that the server runs as")
	case len(data) > maxFileBytes:
		return refuse(fmt.Sprintf("is larger than %s", Bytes(maxFileBytes)), "check that this is the configuration file")
	}
	if running && len(bytes.TrimSpace(data)) == 0 {
		return refuse("is empty", "if it is being written, reload again; if every key is to have its default, leave a comment in it")
	}
	return parseDocument(file, data)
}

// readBounded reads at most one byte more than allowed, so that the caller can tell.
func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// parseDocument parses data, which is at most maxFileBytes long, in the format of file's extension.
func parseDocument(file string, data []byte) document {
	f := formatOf(file)
	doc := document{lenient: f.lenient}
	fault := func(line int, key string, fl flaw) {
		o := Origin{Layer: LayerFile, File: file, Line: line}
		doc.faults = append(doc.faults, Fault{Origin: o, Key: key, Problem: fl.problem, Cure: fl.cure})
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !f.lenient {
		if line := firstBadUTF8(data); line > 0 {
			fault(line, "", flaw{"is not UTF-8 text", "save the file as UTF-8"})
			return doc
		}
		if n := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{")); n > maxBrackets {
			fault(0, "", flaw{fmt.Sprintf("holds %d brackets", n), fmt.Sprintf("at most %d are allowed", maxBrackets)})
			return doc
		}
	}
	lines, problems := f.index(data)
	for _, p := range problems {
		fault(p.line, p.key, p.flaw)
	}
	if len(lines) > maxEntries {
		fault(0, "", tooManyKeys())
		return doc
	}
	if len(problems) > 0 && !f.lenient {
		return doc // the parser would refuse the same, or, with aliases, take long over it
	}
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider(data), f.parser); err != nil {
		fault(f.lineOf(data, err), "", flaw{"cannot be parsed: " + f.bare(err), "see docs/configuration.md for the format"})
		return doc
	}
	doc.values, doc.lines = k.All(), lines
	return doc
}

// firstBadUTF8 returns the line of the first byte that is no UTF-8, 0 if there is none.
func firstBadUTF8(data []byte) int {
	if utf8.Valid(data) {
		return 0
	}
	line := 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[n:]
	}
	return line
}
