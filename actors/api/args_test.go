package api

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func argsOf(pairs ...string) args {
	a := args{values: map[string]arg{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = a.set(pairs[i], pairs[i+1])
	}
	return a
}

func TestNumbersAndTruthValues(t *testing.T) {
	for text, want := range map[string]int64{"": 7, " 12 ": 12, "-3": -3, "0": 0} {
		n, err := argsOf("n", text).integer("n", 7, -10, 100)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, n)
	}
	for _, text := range []string{"12abc", "abc", "1.5", "101", "-11", "99999999999999999999", "0x10", "true"} {
		_, err := argsOf("n", text).integer("n", 7, -10, 100)
		require.Equal(t, codeInvalidArgs, asCallError(err).code, "%q", text)
	}
	for text, want := range map[string]bool{"": true, "0": false, "1": true, "TRUE": true, "False": false, " 1 ": true} {
		v, err := argsOf("b", text).boolean("b", true)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, v, "%q", text)
	}
	for _, text := range []string{"2", "yes", "500", "-1", "on"} {
		_, err := argsOf("b", text).boolean("b", true)
		require.Error(t, err, "%q", text)
	}
	for text, want := range map[string]time.Duration{"": time.Second, "0": time.Second, "2.5": 2500 * time.Millisecond, "1e-9": time.Millisecond} {
		d, err := argsOf("s", text).seconds("s", time.Second, time.Minute)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, d, "%q", text)
	}
	for _, text := range []string{"-1", "61", "NaN", "Inf", "-Inf", "1s", "1e400"} {
		_, err := argsOf("s", text).seconds("s", time.Second, time.Minute)
		require.Error(t, err, "%q", text)
	}
}

func TestLoggedArgumentsHoldNoSecrets(t *testing.T) {
	text := argsOf("Secret", "s3cr3t", "rtsp_pwd", "s3cr3t", "api.secret", "s3cr3t", "rtsp.auth_users", "a:s3cr3t", "url", "rtsp://u:s3cr3t@host/p", "app", "live").String()
	require.NotContains(t, text, "s3cr3t")
	require.Contains(t, text, "host/p")
	require.Contains(t, text, "live")
}

func TestFailuresTableIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	f := newFailures(func() time.Time { return now })
	for i := range 3 * maxFailureSources {
		f.add(addressNumber(i), "guess")
		now = now.Add(time.Microsecond)
	}
	require.LessOrEqual(t, len(f.sources), maxFailureSources)
	last := addressNumber(3*maxFailureSources - 1)
	require.Positive(t, f.blocked(last, 1))
	now = now.Add(failureWindow)
	require.Zero(t, f.blocked(last, 1), "a window ends")
	f.add(addressNumber(1), "x")
	require.Less(t, len(f.sources), maxFailureSources, "windows that are over make room first")
}

func FuzzArguments(f *testing.F) {
	for _, seed := range []struct{ query, kind, body string }{
		{"a=1&b=%20&&=x&c", "application/x-www-form-urlencoded", "d=1&e=%zz"},
		{"%=1", "application/json", `{"a":1,"b":null,"c":"\u0000","d":true,"e":1e400}`},
		{"", "application/json;charset=utf-8", `{"a":{"b":[]}}`},
		{"a;b=c;d", "application/json", `{"a":`},
		{"url=rtsp://u:p@h/a?b=c", "text/plain; x", "body"},
		{strings.Repeat("a=1&", 50), ";;;", "{}"},
	} {
		f.Add(seed.query, seed.kind, seed.body)
	}
	f.Fuzz(func(t *testing.T, query, kind, body string) {
		r := &http.Request{
			URL: &url.URL{RawQuery: query}, Header: http.Header{"Content-Type": {kind}},
			Body: http.NoBody, ContentLength: int64(len(body)),
		}
		if body != "" {
			r.Body = readCloser{strings.NewReader(body)}
		}
		a, err := parseArgs(r)
		if err != nil {
			require.Equal(t, codeInvalidArgs, asCallError(err).code)
			encode(object{"msg": err.Error()})
			return
		}
		require.LessOrEqual(t, len(a.values), maxArgs)
		for key, v := range a.values {
			require.Equal(t, strings.ToLower(v.name), key)
			_, _ = a.boolean(key, false)
			_, _ = a.address(key)
			if n, err := a.integer(key, 0, 0, 65535); err == nil {
				require.True(t, n >= 0 && n <= 65535)
			}
			if d, err := a.seconds(key, time.Second, time.Hour); err == nil {
				require.True(t, d > 0 && d <= time.Hour, "%v", d)
			}
			_ = checkSource(v.value)
		}
		_ = a.String()
		overridesOf(a)
		furtherArgs(a)
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// addressNumber is the i-th of many IPv4 addresses.
func addressNumber(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}
