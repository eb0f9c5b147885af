package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table of pains names a test for each that is ended, and every test that it names is in the folder that stands before it.
func TestThePainsNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/pains.md")
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^\| (\d+) \|(.*)\|(.*)\|(.*)\|$`)
	folderOrTest := regexp.MustCompile("`([a-z]+(?:/[a-z]+)*)`|(Test[A-Za-z0-9]+)")
	rows := row.FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, 20)
	for _, r := range rows {
		folder, named := "", 0
		for _, m := range folderOrTest.FindAllStringSubmatch(r[4], -1) {
			if m[1] != "" {
				folder = m[1]
				continue
			}
			named++
			require.NotEmpty(t, folder, "pain %s: %s", r[1], m[2])
			require.True(t, declares(t, filepath.Join("../..", folder), m[2]), "pain %s: %s has no %s", r[1], folder, m[2])
		}
		require.Positive(t, named, "pain %s names no test", r[1])
	}
}

// declares reports whether a test file of a folder declares a function.
func declares(t *testing.T, folder, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if strings.Contains(string(text), "func "+function+"(") {
			return true
		}
	}
	return false
}
