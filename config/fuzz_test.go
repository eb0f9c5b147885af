package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// seed adds the golden files of a format.
func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join("testdata", p))
		require.NoError(f, err)
		require.NotEmpty(f, files)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(data)
		}
	}
}

// checkDocument parses data and holds what comes out to what the loader relies on.
func checkDocument(t *testing.T, file string, data []byte) {
	t.Helper()
	if len(data) > maxFileBytes {
		return // readFile does not pass it on
	}
	doc := parseDocument(file, data)
	last := 1 // YAML counts more than \n as the end of a line
	for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
		last += bytes.Count(data, []byte(end))
	}
	for name := range doc.values {
		require.Contains(t, doc.lines, name, "a key without a line")
	}
	for name, line := range doc.lines {
		require.True(t, 1 <= line && line <= last, "%q in line %d of %d", name, line, last)
	}
	l := newLoader(Options{File: file, Root: true}, nil)
	layer := l.fileLayer(doc)
	c := Default()
	for name, value := range layer {
		key, ok := Lookup(name)
		require.True(t, ok, name)
		require.Nil(t, key.assign(c, value.(string)), name)
		require.Equal(t, value, key.text(c), name)
	}
	l.judge(c)
	for _, f := range append(l.faults, l.report.Warnings...) {
		require.NotEmpty(t, f.Problem)
		require.NotContains(t, f.String(), "\n")
		require.LessOrEqual(t, f.Line, last)
	}
	require.LessOrEqual(t, len(l.faults), last*maxListItems)
}

func FuzzTOML(f *testing.F) {
	seed(f, "*.toml")
	f.Add([]byte(Sample()))
	f.Add([]byte("\"a.b\".c = {x = {y = 1}, z = [[1], {q = 2}]}\n[[t]]\nx=1\n[[t]]\nx=2"))
	f.Fuzz(func(t *testing.T, data []byte) { checkDocument(t, "f.toml", data) })
}

func FuzzYAML(f *testing.F) {
	seed(f, "*.yaml")
	f.Add([]byte("a: &x [1]\nb: *x\n<<: {c: 1}\n"))
	f.Add([]byte("%YAML 1.2\n---\nhttp: !!map {port: !!int \"1\"}\n...\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkDocument(t, "f.yaml", data) })
}

func FuzzINI(f *testing.F) {
	seed(f, "*.ini")
	f.Add([]byte("[a]\nb=`x\n[c]\nd=\"\"\"y\ne='q'\n%(x)s=%(b)s\\\nno equals\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkDocument(t, "f.ini", data)
		// ini.v1 must see exactly what ZLMediaKit's rules say.
		entries, _ := scanINI(data)
		values, err := iniParser{}.Unmarshal(data)
		if err != nil {
			return
		}
		want := map[string]any{}
		for _, e := range entries {
			want[e.name()] = e.value
		}
		require.Equal(t, want, values)
	})
}

// FuzzValues gives every codec every text: it must not panic, and what it accepts must read back.
func FuzzValues(f *testing.F) {
	for _, k := range Keys() {
		f.Add(k.Default)
	}
	for _, s := range []string{"1-65535", "::1-::2,10.0.0.0/8", "a:b,c:d", "1h", "9223372036854775807", "0x10", "-1", "1e400", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, k := range Keys() {
			canonical, err := k.Check(s)
			if err != nil {
				require.NotContains(t, err.Error(), "\n")
				continue
			}
			again, err := k.Check(canonical)
			require.NoError(t, err, "%s: %q", k.Name, canonical)
			require.Equal(t, canonical, again, k.Name)
		}
	})
}
