package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAFileThatIsBeingWrittenIsWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "berth.toml")
	Settle(file) // is not there
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	Settle(file)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(info.ModTime()), settleQuiet)
	future := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(file, future, future))
	began := time.Now()
	Settle(file)
	require.Less(t, time.Since(began), settleMost)
}

func TestAnEmptyFileReplacesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "berth.toml")
	for text, refused := range map[string]bool{"": true, " \n\t\n": true, "# every key has its default\n": false} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, _, err := Load(Options{File: file, Set: []string{"state.dir=/nowhere"}})
		require.NoError(t, err, "a server may start with it")
		_, _, err = Load(Options{File: file, Set: []string{"state.dir=/nowhere"}, Running: true})
		if !refused {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "is empty")
		require.ErrorContains(t, err, "comment")
	}
}
