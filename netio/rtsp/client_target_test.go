package rtsp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPullTargets(t *testing.T) {
	for _, tc := range []struct {
		raw, url, address, user, password string
	}{
		{"rtsp://cam/live", "rtsp://cam/live", "cam:554", "", ""},
		{"RTSP://cam:8554", "rtsp://cam:8554", "cam:8554", "", ""},
		{"rtsps://cam/live?x=1&y=2", "rtsps://cam/live?x=1&y=2", "cam:322", "", ""},
		{"rtsp://[::1]:8554/a/b", "rtsp://[::1]:8554/a/b", "[::1]:8554", "", ""},
		{"rtsp://u:p@[fe80::1]/x", "rtsp://[fe80::1]/x", "[fe80::1]:554", "u", "p"},
		{"rtsp://u@cam/x", "rtsp://cam/x", "cam:554", "u", ""},
		{"rtsp://u:@cam/x", "rtsp://cam/x", "cam:554", "u", ""},
		{"rtsp://admin:a%40b%2Fc@cam/x", "rtsp://cam/x", "cam:554", "admin", "a@b/c"},
		{"rtsp://admin:a@b#c:d@cam:99/x", "rtsp://cam:99/x", "cam:99", "admin", "a@b#c:d"},
		{"rtsp://admin:p/w?d@cam:99/x", "rtsp://cam:99/x", "cam:99", "admin", "p/w?d"},
		{"rtsp://admin:p@ss#w/rd@cam/x", "rtsp://cam/x", "cam:554", "admin", "p@ss#w/rd"},
		{"rtsp://admin:100%@cam/x", "rtsp://cam/x", "cam:554", "admin", "100%"},
		{"rtsp://cam/user=a@b/x", "rtsp://cam/user=a@b/x", "cam:554", "", ""},
		{"rtsp://cam/stream#1", "rtsp://cam/stream%231", "cam:554", "", ""},
	} {
		got, err := parsePullTarget(tc.raw)
		require.NoError(t, err, tc.raw)
		require.Equal(t, tc.url, got.url.String(), tc.raw)
		require.Equal(t, []string{tc.address, tc.user, tc.password}, []string{got.address(), got.user, got.password}, tc.raw)
	}
	for _, raw := range []string{"", "cam", "rtsp:", "rtsp://", "rtsp:///x", "http://cam/", "rtsp://cam:0/", "rtsp://cam:65536/", "rtsp://cam:x/", "rtsp://u:p@/x", "rtsp://a b/"} {
		_, err := parsePullTarget(raw)
		require.Error(t, err, raw)
	}
}

func TestSafeURLHidesSecrets(t *testing.T) {
	for raw, want := range map[string]string{
		"rtsp://admin:12345@cam/live":                               "rtsp://cam/live",
		"rtsp://cam/live?token=abc&x=1":                             "rtsp://cam/live?token=***&x=1",
		"rtsp://cam/user=admin_password=tlJw_channel=1_stream=0":    "rtsp://cam/user=admin_password=***_channel=1_stream=0",
		"rtsp://cam/cgi?user=a&PWD=12345":                           "rtsp://cam/cgi?user=a&PWD=***",
		"rtsp://admin:secret@:0/x":                                  "(not a URL)",
		"http://admin:secret@cam/x":                                 "(not a URL)",
		"rtsp://admin:p@ss/w#rd@cam/x":                              "rtsp://ss/***@cam/x",
		"rtsp://cam/h264?username=admin&password=admin123&channel=": "rtsp://cam/h264?username=admin&password=***&channel=",
	} {
		require.Equal(t, want, SafeURL(raw), raw)
	}
}

func TestPullTargetFollows(t *testing.T) {
	for _, tc := range []struct {
		from, to, want string
		credentials    bool
	}{
		{"rtsp://u:p@cam/a", "rtsp://cam/b", "rtsp://cam/b", true},
		{"rtsp://u:p@cam/a", "rtsp://CAM:554/b", "rtsp://CAM:554/b", true},
		{"rtsp://u:p@cam/a", "/b", "rtsp://cam/b", true},
		{"rtsp://u:p@cam/a", "rtsp://cam:8554/b", "rtsp://cam:8554/b", false},
		{"rtsp://u:p@cam/a", "rtsp://evil/b", "rtsp://evil/b", false},
		{"rtsp://u:p@cam/a", "rtsps://cam/b", "rtsps://cam/b", false},
		{"rtsp://u:p@cam/a", "http://cam/b", "", false},
		{"rtsps://u:p@cam/a", "rtsp://cam/b", "", false},
		{"rtsp://u:p@cam/a", "", "", false},
	} {
		from, err := parsePullTarget(tc.from)
		require.NoError(t, err)
		got, err := from.follow(tc.to)
		if tc.want == "" {
			require.Error(t, err, tc.to)
			continue
		}
		require.NoError(t, err, tc.to)
		require.Equal(t, tc.want, got.url.String())
		require.Equal(t, tc.credentials, got.user != "", tc.to)
	}
	// What a redirect brings itself is used.
	from, err := parsePullTarget("rtsp://u:p@cam/a")
	require.NoError(t, err)
	got, err := from.follow("rtsp://x:y@other/b")
	require.NoError(t, err)
	require.Equal(t, "x", got.user)
}

func FuzzPullTarget(f *testing.F) {
	for _, seed := range []string{"rtsp://cam/live", "rtsps://u:p@[::1]:1/x?y#z", "rtsp://a:b@c@d/e", "rtsp://a:b/c?d@e", "://", "rtsp://%zz@cam/", "/relative"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := parsePullTarget(raw)
		if err != nil {
			return
		}
		if target.url.User != nil || target.url.Hostname() == "" {
			t.Errorf("%q: %#v", raw, target)
		}
		// What is sent parses again to the same place.
		again, err := parsePullTarget(target.url.String())
		if err != nil || again.address() != target.address() {
			t.Errorf("%q -> %q: %v", raw, target.url, err)
		}
		_ = target.safe()
		_, _ = target.follow(raw)
	})
}
