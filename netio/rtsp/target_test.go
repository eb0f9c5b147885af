package rtsp

import (
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/stretchr/testify/require"
)

// A stranger's URL must not become a name of any length in logs, lists and metrics.
func TestNamesOfStreamsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		ok   bool
	}{
		"longest app":     {strings.Repeat("a", 1024) + "/b", true},
		"longest stream":  {"a/" + strings.Repeat("b", 1024), true},
		"app too long":    {strings.Repeat("a", 1025) + "/b", false},
		"stream too long": {"a/" + strings.Repeat("b", 1025), false},
		"with a track":    {"a/" + strings.Repeat("b", 1024) + "/trackID=1", true},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := base.ParseURL("rtsp://h/" + c.path)
			require.NoError(t, err)
			_, ok := parseTarget(u, false, "")
			require.Equal(t, c.ok, ok)
		})
	}
	u, err := base.ParseURL("rtsp://" + strings.Repeat("h", 1025) + "/a/b")
	require.NoError(t, err)
	_, ok := parseTarget(u, true, "")
	require.False(t, ok, "a virtual host is a name too")
}
