package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/config"
)

// The keys' zeros mean none; the hub's zeros would mean its defaults.
func TestHubOptions(t *testing.T) {
	options := func(set func(*config.Config)) (merge time.Duration, gop int64) {
		c := config.Default()
		set(c)
		a := &streamActor{Setup: Setup{Config: c}}
		o := a.hubOptions()
		return o.MergeTime, o.GOPBytes
	}
	merge, gop := options(func(c *config.Config) { c.General.MergeWrite, c.Stream.GOPCache = 20*time.Millisecond, config.MiB })
	require.Equal(t, 20*time.Millisecond, merge)
	require.EqualValues(t, 1<<20, gop)
	merge, gop = options(func(c *config.Config) { c.General.MergeWrite, c.Stream.GOPCache = 0, 0 })
	require.Negative(t, merge)
	require.Negative(t, gop)
}
