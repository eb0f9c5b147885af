package config

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// generated compares a file of the repository with what the registry says it should be; with
// BERTH_UPDATE=1 it writes it.
func generated(t *testing.T, path, want string) {
	t.Helper()
	if os.Getenv("BERTH_UPDATE") == "1" {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "%s is out of date: run BERTH_UPDATE=1 go test ./config/", path)
}

func TestSampleFileIsUpToDate(t *testing.T) {
	generated(t, filepath.Join("..", "berth.sample.toml"), Sample())
}

func TestDocumentationPageIsUpToDate(t *testing.T) {
	generated(t, filepath.Join("..", "docs", "configuration.md"), Markdown())
}

func TestSampleLoadsAndChangesNothing(t *testing.T) {
	c, report, err := Load(Options{File: filepath.Join("..", "berth.sample.toml"), Root: true})
	require.NoError(t, err)
	require.Empty(t, report.Warnings)
	want := Default()
	want.State.Dir = c.State.Dir
	require.Empty(t, Diff(want, c))
	for _, k := range Keys() {
		require.Equal(t, LayerDefault, c.Source(k.Name).Layer, k.Name)
	}
}

func TestSampleWithEveryKeyUncommentedIsTheDefault(t *testing.T) {
	text := regexp.MustCompile(`(?m)^#([a-zA-Z0-9_]+ = )`).ReplaceAllString(Sample(), "$1")
	file := filepath.Join(t.TempDir(), "all.toml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	c, report, err := Load(Options{File: file, Root: true})
	require.NoError(t, err)
	require.Empty(t, report.Warnings)
	want := Default()
	want.State.Dir = c.State.Dir
	require.Empty(t, Diff(want, c))
	for _, k := range Keys() {
		if k.Name != "state.dir" { // empty in the file, so derived
			require.Equal(t, LayerFile, c.Source(k.Name).Layer, k.Name)
			require.Positive(t, c.Source(k.Name).Line, k.Name)
		}
	}
}
