package store

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	_, err := ReadSecret(dir)
	require.ErrorIs(t, err, ErrNoSecret)
	require.NoDirExists(t, dir, "reading makes nothing")

	var wg sync.WaitGroup
	got := make([]string, 16)
	for i := range got {
		wg.Go(func() { got[i], _ = Secret(dir) })
	}
	wg.Wait()
	for _, s := range got {
		require.Equal(t, got[0], s)
	}
	require.Regexp(t, `^[A-Za-z0-9]{32}$`, got[0])
	read, err := ReadSecret(dir)
	require.NoError(t, err)
	require.Equal(t, got[0], read)
	info, err := os.Stat(filepath.Join(dir, secretName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	id, err := ServerID(dir)
	require.NoError(t, err)
	require.NotEqual(t, got[0], id)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "no temporary file is left")
}

func TestUnusableSecretIsReplaced(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "cut": "abc\n", "garbage": "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, secretName), []byte(content), 0o644))
			secret, err := Secret(dir)
			require.NoError(t, err)
			require.Len(t, secret, 32)
			again, err := Secret(dir)
			require.NoError(t, err)
			require.Equal(t, secret, again)
		})
	}
}

func TestSecretOpenToOthersIsClosed(t *testing.T) {
	dir := t.TempDir()
	secret, err := Secret(dir)
	require.NoError(t, err)
	path := filepath.Join(dir, secretName)
	require.NoError(t, os.Chmod(path, 0o644))
	again, err := Secret(dir)
	require.NoError(t, err)
	require.Equal(t, secret, again)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
