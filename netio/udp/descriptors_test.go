package udp

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestDescriptorsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("descriptors are counted as Linux shows them")
	}
	for name, proc := range map[string]string{"the kernel counts": "/proc/self", "the kernel does not": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			before, limit, err := Descriptors(proc)
			require.NoError(t, err)
			var bounds unix.Rlimit
			require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &bounds))
			require.Equal(t, bounds.Cur, limit)
			require.NotZero(t, before)
			const more = 64 // fills every gap, so that the lowest free one tells
			for range more {
				f, err := os.Open(os.DevNull)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, f.Close()) })
			}
			after, _, err := Descriptors(proc)
			require.NoError(t, err)
			require.GreaterOrEqual(t, after, uint64(more))
			require.Greater(t, after, before)
		})
	}
}

func TestWithoutADescriptorLeftAllAreOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limit is set as Linux counts it")
	}
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	empty := t.TempDir()
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	next := uint64(f.Fd())
	require.NoError(t, f.Close())
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: next, Max: was.Max}))
	open, limit, err := Descriptors(empty)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	require.NoError(t, err)
	require.Equal(t, next, limit)
	require.Equal(t, limit, open)
}
