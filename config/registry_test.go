package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryKeyIsDescribed(t *testing.T) {
	names := regexp.MustCompile(`^[a-z_]+\.[a-zA-Z][a-zA-Z0-9_]*$`)
	folded, variables := map[string]string{}, map[string]string{}
	for _, k := range Keys() {
		require.Regexp(t, names, k.Name)
		require.Contains(t, []Class{Hot, New, Restart}, k.Class, k.Name)
		require.NotEmpty(t, k.Doc, k.Name)
		require.True(t, strings.HasSuffix(k.Doc, "."), k.Name)
		require.NotContains(t, k.Doc, "\n", k.Name)
		require.NotEmpty(t, k.Type, k.Name)
		require.NotEmpty(t, k.Bounds, k.Name)
		require.False(t, isUnserved(k.Name), "%s is both served and not", k.Name)
		require.Empty(t, folded[strings.ToLower(k.Name)], "%s differs from another key only by case", k.Name)
		require.Empty(t, variables[EnvName(k.Name)], k.Name)
		folded[strings.ToLower(k.Name)], variables[EnvName(k.Name)] = k.Name, k.Name
		if k.Own {
			require.Equal(t, strings.ToLower(k.Name), k.Name, "a key of berth's own is in lower snake case")
		}
	}
}

func TestEveryDefaultIsWithinItsBounds(t *testing.T) {
	for _, k := range Keys() {
		got, err := k.Check(k.Default)
		require.NoError(t, err, k.Name)
		require.Equal(t, k.Default, got, k.Name)
	}
}

// TestEveryFieldHasItsOwnKey finds a field that no key sets, and two keys that set one field: each
// key in turn is given a value that differs from the zero snapshot, and the fields that moved are counted.
func TestEveryFieldHasItsOwnKey(t *testing.T) {
	setBy := map[string]string{}
	for _, k := range Keys() {
		var c Config
		k.carry(&c, filled())
		for field := range nonZero(reflect.ValueOf(c), "") {
			require.Empty(t, setBy[field], "%s and %s set the same field %s", k.Name, setBy[field], field)
			setBy[field] = k.Name
		}
	}
	require.Len(t, setBy, len(Keys()), "each key sets exactly one field")
	require.Equal(t, len(nonZero(reflect.ValueOf(*filled()), "")), len(setBy), "a field of Config has no key")
}

// filled returns a snapshot in which no field is zero, except unexported ones.
func filled() *Config {
	c := &Config{}
	fill(reflect.ValueOf(c).Elem())
	c.origins = nil
	return c
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Config]() || strings.HasPrefix(v.Type().PkgPath(), "berth") {
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					fill(v.Field(i))
				}
			}
			return
		}
		v.Set(reflect.ValueOf(Default().General.ListenIP)) // the only foreign struct is netip.Addr
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Uint16:
		v.SetUint(2)
	default:
		v.SetInt(1)
	}
}

func nonZero(v reflect.Value, path string) map[string]bool {
	out := map[string]bool{}
	leaf := v.Kind() != reflect.Struct || !strings.HasPrefix(v.Type().PkgPath(), "berth") || v.Type() == reflect.TypeFor[PortRange]()
	if leaf {
		if !v.IsZero() {
			out[path] = true
		}
		return out
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			for name := range nonZero(v.Field(i), path+"."+f.Name) {
				out[name] = true
			}
		}
	}
	return out
}

func TestClassWords(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []Class{Hot, New, Restart} {
		seen[c.String()], seen[c.Effect()] = true, true
		require.Equal(t, c != Restart, c.Immediate())
	}
	require.Len(t, seen, 6)
	require.Equal(t, "unknown", Class(0).String())
}

func TestUnservedKeysOfZLMediaKit(t *testing.T) {
	require.Len(t, Unserved(), 179-servedOfZLMediaKit(), "ZLMediaKit has 179 keys, each served or not")
	require.True(t, isUnserved("ffmpeg.cmd_low"))
	require.False(t, isUnserved("rtp_proxy.port_range"))
	require.False(t, isUnserved("rtp_proxy.nonsense"))
}

func servedOfZLMediaKit() int {
	n := 0
	for _, k := range Keys() {
		if !k.Own {
			n++
		}
	}
	return n
}

func TestNearest(t *testing.T) {
	var names []string
	for _, k := range Keys() {
		names = append(names, k.Name)
	}
	for in, want := range map[string]string{
		"rtp_proxy.port_rnage":     "rtp_proxy.port_range",
		"rtpproxy.portrange":       "rtp_proxy.port_range",
		"http.keep_alive_second":   "http.keepAliveSecond",
		"HTTP.PORT":                "http.port",
		"rtsp.prot":                "rtsp.port",
		"general.drain_idle":       "pool.drain_idle",
		"x.enable":                 "", // two sections have it
		"something.else_entirely":  "",
		"":                         "",
		strings.Repeat("x", 10000): "",
	} {
		require.Equal(t, want, nearest(in, names), in)
	}
}

func TestEditDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"range", "rnage", 1}, {"same", "same", 0}} {
		require.Equal(t, tc.want, editDistance(tc.a, tc.b), "%s %s", tc.a, tc.b)
	}
}
