package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFiles loads every testdata/NAME.good.EXT and NAME.bad.EXT and compares what comes out (values and
// where they come from, warnings, faults) with the .want file beside it. BERTH_UPDATE=1 writes the .want
// files; read them before committing.
func TestFiles(t *testing.T) {
	t.Chdir("testdata") // so that messages name the bare file
	files, err := filepath.Glob("*.*.*")
	require.NoError(t, err)
	for _, file := range files {
		parts := strings.Split(file, ".")
		if parts[len(parts)-1] == "want" {
			continue
		}
		t.Run(file, func(t *testing.T) {
			c, report, err := Load(Options{File: file, Env: []string{"HOME=/home/op"}})
			require.NotNil(t, report)
			var b strings.Builder
			if parts[1] == "bad" {
				require.Error(t, err)
				require.Nil(t, c)
				b.WriteString(err.Error() + "\n")
			} else {
				require.NoError(t, err)
				base, _, err := Load(Options{Env: []string{"HOME=/home/op"}})
				require.NoError(t, err)
				for _, d := range Diff(base, c) {
					fmt.Fprintf(&b, "%s = %s (%s)\n", d.Key, d.New, d.Source)
				}
			}
			for _, line := range report.Lines() {
				fmt.Fprintf(&b, "warning: %s\n", line)
			}
			generatedText(t, file+".want", b.String())
		})
	}
}

func generatedText(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("BERTH_UPDATE") == "1" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}
