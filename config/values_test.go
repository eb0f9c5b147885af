package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parseCase is one text and what a codec makes of it: the canonical text, or a part of the flaw.
type parseCase struct {
	in, want, flaw string
}

func runParse[T any](t *testing.T, c codec[T], cases []parseCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.in, func(t *testing.T) {
			v, f := c.parse(tc.in)
			if tc.flaw != "" {
				require.NotNil(t, f, "accepted as %v", v)
				require.Contains(t, f.problem, tc.flaw)
				require.NotEmpty(t, f.cure)
				return
			}
			require.Nil(t, f)
			require.Equal(t, tc.want, c.format(v))
			again, f := c.parse(c.format(v))
			require.Nil(t, f)
			require.Equal(t, v, again, "canonical text reads back differently")
		})
	}
}

func TestToggle(t *testing.T) {
	runParse(t, toggle(), []parseCase{
		{in: "1", want: "1"},
		{in: "0", want: "0"},
		{in: "true", want: "1"},
		{in: " FALSE ", want: "0"},
		{in: "2", flaw: "not a truth value"},
		{in: "yes", flaw: "not a truth value"},
		{in: "", flaw: "not a truth value"},
	})
}

func TestWhole(t *testing.T) {
	runParse(t, whole[int](-1, 10, "tries"), []parseCase{
		{in: "-1", want: "-1"},
		{in: " 10 ", want: "10"},
		{in: "+3", want: "3"},
		{in: "11", flaw: "above the largest value, 10 tries"},
		{in: "-2", flaw: "below the smallest value, -1 tries"},
		{in: "", flaw: "has no value"},
		{in: "1.0", flaw: "not a whole number"},
		{in: "1e1", flaw: "not a whole number"},
		{in: "0x1", flaw: "not a whole number"},
		{in: "99999999999999999999", flaw: "not a whole number"},
	})
}

func TestTicks(t *testing.T) {
	ms, sec := ticks(0, 60_000, time.Millisecond), ticks(1, 300, time.Second)
	v, f := ms.parse("1500")
	require.Nil(t, f)
	require.Equal(t, 1500*time.Millisecond, v)
	v, f = sec.parse("15")
	require.Nil(t, f)
	require.Equal(t, 15*time.Second, v)
	runParse(t, sec, []parseCase{
		{in: "300", want: "300"},
		{in: "0", flaw: "below the smallest value, 1 seconds"},
		{in: "15s", flaw: "not a whole number"},
	})
}

func TestSpan(t *testing.T) {
	runParse(t, span(0, 24*time.Hour), []parseCase{
		{in: "50ms", want: "50ms"},
		{in: "60s", want: "1m"},
		{in: "90s", want: "1m30s"},
		{in: "60m", want: "1h"},
		{in: "3605s", want: "1h0m5s"},
		{in: "0", want: "0s"},
		{in: "1.5h", want: "1h30m"},
		{in: "3", flaw: "has no unit"},
		{in: "2.5", flaw: "has no unit"},
		{in: "nan", flaw: "not a duration"},
		{in: "soon", flaw: "not a duration"},
		{in: "", flaw: "has no value"},
		{in: "25h", flaw: "out of bounds"},
		{in: "-1s", flaw: "out of bounds"},
	})
}

func TestSeconds(t *testing.T) {
	runParse(t, seconds(0.1, 300), []parseCase{
		{in: "10", want: "10"},
		{in: "3.0", want: "3"},
		{in: "0.25", want: "0.25"},
		{in: "1.23456", want: "1.235"},
		{in: "1e2", want: "100"},
		{in: "0.0999", flaw: "out of bounds"},
		{in: "300.1", flaw: "out of bounds"},
		{in: "NaN", flaw: "not a number"},
		{in: "inf", flaw: "not a number"},
		{in: "ten", flaw: "not a number"},
		{in: "", flaw: "has no value"},
	})
}

func TestSize(t *testing.T) {
	runParse(t, size(0, 2*GiB), []parseCase{
		{in: "0", want: "0"},
		{in: "1500", want: "1500"},
		{in: "65536", want: "64KiB"},
		{in: "16MiB", want: "16MiB"},
		{in: "16 mib", want: "16MiB"},
		{in: "1024KiB", want: "1MiB"},
		{in: "1GiB", want: "1GiB"},
		{in: "1kb", want: "1000"},
		{in: "5MB", want: "5000000"},
		{in: "7b", want: "7"},
		{in: "3GiB", flaw: "out of bounds"},
		{in: "-1", flaw: "not a size"},
		{in: "1.5MiB", flaw: "not a size"},
		{in: "MiB", flaw: "not a size"},
		{in: "9223372036854775807GiB", flaw: "not a size"},
		{in: "", flaw: "has no value"},
	})
	runParse(t, plainSize(0, MiB), []parseCase{{in: "40KiB", want: "40960"}, {in: "1024", want: "1024"}})
}

func TestText(t *testing.T) {
	runParse(t, text(8), []parseCase{
		{in: "  a b ", want: "a b"},
		{in: "", want: ""},
		{in: "12345678", want: "12345678"},
		{in: "123456789", flaw: "is 9 bytes long"},
		{in: "a\nb", flaw: "cannot be printed"},
		{in: "a\xffb", flaw: "cannot be printed"},
	})
}

func TestAddress(t *testing.T) {
	runParse(t, localAddress("elsewhere"), []parseCase{
		{in: "::", want: "::"},
		{in: "0.0.0.0", want: "0.0.0.0"},
		{in: "fe80::1%eth0", want: "fe80::1%eth0"},
		{in: "", want: ""},
		{in: "ff02::1", flaw: "multicast"},
		{in: "192.0.2.1:80", flaw: "not an IP address"},
		{in: "localhost", flaw: "not an IP address"},
	})
	runParse(t, localAddress(""), []parseCase{{in: "", flaw: "not an IP address"}})
	runParse(t, peerAddress("elsewhere"), []parseCase{
		{in: "198.51.100.7", want: "198.51.100.7"},
		{in: "::", flaw: "no address that a peer could send to"},
		{in: "fe80::1%eth0", flaw: "no address that a peer could send to"},
	})
}

func TestChoice(t *testing.T) {
	runParse(t, choice(ReaderJump, ReaderClose), []parseCase{
		{in: "Jump", want: "jump"},
		{in: " close", want: "close"},
		{in: "", flaw: "not one of the allowed words"},
		{in: "drop", flaw: "not one of the allowed words"},
	})
}

func TestRTPTransport(t *testing.T) {
	runParse(t, rtpTransport(), []parseCase{
		{in: "-1", want: "-1"},
		{in: "0", want: "0"},
		{in: "1", want: "1"},
		{in: "2", flaw: "multicast"},
		{in: "3", flaw: "above"},
	})
	require.Equal(t, "any tcp udp", strings.Join([]string{RTPAny.String(), RTPOverTCP.String(), RTPOverUDP.String()}, " "))
}

func TestPortRange(t *testing.T) {
	runParse(t, portRange(), []parseCase{
		{in: "20000-29999", want: "20000-29999"},
		{in: " 30000 - 30035 ", want: "30000-30035"},
		{in: "30001-30037", want: "30001-30037"},
		{in: "1-65535", want: "1-65535"},
		{in: "65500-65535", want: "65500-65535"},
		{in: "30000", flaw: "not a port range"},
		{in: "", flaw: "not a port range"},
		{in: "-30000", flaw: "low end"},
		{in: "30000-", flaw: "high end"},
		{in: "30000-31000-32000", flaw: "high end"},
		{in: "30000-3100O", flaw: "high end"},
		{in: "0-1000", flaw: "port 0"},
		{in: "60000-65536", flaw: "past the highest port"},
		{in: "70000-80000", flaw: "past the highest port"},
		{in: "35000-30000", flaw: "wrong way round"},
		{in: "30000-30034", flaw: "holds 17 whole even/odd pairs"},
		{in: "30001-30036", flaw: "holds 17 whole even/odd pairs"},
		{in: "65535-65535", flaw: "holds 0 whole even/odd pairs"},
	})
}

func TestPortRangePairs(t *testing.T) {
	for _, tc := range []struct {
		in     string
		pairs  int
		first  uint16
		unused []uint16
	}{
		{"30000-30071", 36, 30000, nil},
		{"30000-35000", 2500, 30000, []uint16{35000}},
		{"30001-30071", 35, 30002, []uint16{30001}},
		{"30001-30072", 35, 30002, []uint16{30001, 30072}},
		{"1-65535", 32767, 2, []uint16{1}},
	} {
		r, err := ParsePortRange(tc.in)
		require.NoError(t, err)
		require.Equal(t, tc.pairs, r.Pairs(), tc.in)
		require.Equal(t, tc.first, r.FirstPair(), tc.in)
		require.Equal(t, tc.unused, r.Unused(), tc.in)
		require.True(t, r.Contains(r.Low) && r.Contains(r.High))
		require.False(t, r.Contains(r.Low-1))
	}
	_, err := ParsePortRange("30000-30010")
	require.EqualError(t, err, `port range "30000-30010" holds 5 whole even/odd pairs, at least 18 are needed: use 30000-30035 or more`)
}

// TestTooFewPairsCureIsValid takes the advice that a refused range is given.
func TestTooFewPairsCureIsValid(t *testing.T) {
	for _, in := range []string{"1-2", "30001-30002", "65534-65535", "65510-65535", "65501-65535"} {
		_, f := parsePortRange(in)
		require.NotNil(t, f)
		advice := strings.TrimSuffix(strings.TrimPrefix(f.cure, "use "), " or more")
		r, f := parsePortRange(advice)
		require.Nil(t, f, "%s: advised %s", in, advice)
		require.Empty(t, r.Unused())
	}
}

func TestPortSet(t *testing.T) {
	runParse(t, portSet(), []parseCase{
		{in: "", want: ""},
		{in: "5000", want: "5000"},
		{in: "5000, 6000-6010 ,", want: "5000,6000-6010"},
		{in: "6000-6000", want: "6000"},
		{in: "0", flaw: `holds "0"`},
		{in: "1-65536", flaw: `holds "1-65536"`},
		{in: "9-8", flaw: `holds "9-8"`},
		{in: "a", flaw: `holds "a"`},
		{in: strings.Repeat("1,", maxListItems), flaw: "too many items"},
	})
	set, f := parsePortSet("5000,6000-6010")
	require.Nil(t, f)
	require.True(t, set.Contains(6010))
	require.False(t, set.Contains(6011))
}

func TestIPRanges(t *testing.T) {
	runParse(t, ipRanges(), []parseCase{
		{in: "", want: ""},
		{in: "::1, 127.0.0.1", want: "::1,127.0.0.1"},
		{in: "10.1.2.3/8", want: "10.0.0.0-10.255.255.255"},
		{in: "2001:db8::/126", want: "2001:db8::-2001:db8::3"},
		{in: "192.0.2.9/32", want: "192.0.2.9"},
		{in: "0.0.0.0/0", want: "0.0.0.0-255.255.255.255"},
		{in: "::ffff:10.0.0.1", want: "10.0.0.1"},
		{in: ",", flaw: "no address"},
		{in: "10.0.0.9-10.0.0.1", flaw: "no address, range or prefix"},
		{in: "10.0.0.1-::1", flaw: "no address, range or prefix"},
		{in: "fe80::1%eth0", flaw: "no address, range or prefix"},
		{in: "::ffff:10.0.0.0/104", flaw: "no address, range or prefix"},
		{in: "10.0.0.1-10.0.0.2-10.0.0.3", flaw: "no address, range or prefix"},
		{in: "everybody", flaw: "no address, range or prefix"},
	})
	list := privateRanges()
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.2": false, "::1": true, "::2": false, "::ffff:192.168.7.7": true,
		"172.15.255.255": false, "172.16.0.0": true, "172.31.255.255": true, "8.8.8.8": false, "::": false,
	} {
		require.Equal(t, want, list.Allows(netip.MustParseAddr(addr)), addr)
	}
	require.True(t, IPRanges(nil).Allows(netip.MustParseAddr("8.8.8.8")))
}

func TestCredentials(t *testing.T) {
	runParse(t, credentials(), []parseCase{
		{in: "", want: ""},
		{in: "a:b, c:d:e ", want: "a:b,c:d:e"},
		{in: "a", flaw: "item 1 that is not user:password"},
		{in: "a:b,:x", flaw: "item 2 that is not user:password"},
		{in: "a:", flaw: "item 1 that is not user:password"},
		{in: "a:b,a:c", flaw: `names the user "a" twice`},
		{in: "a:b\x7f", flaw: "cannot be printed"},
	})
	list, f := parseCredentials("cam:s3cret")
	require.Nil(t, f)
	p, ok := list.Password("cam")
	require.True(t, ok)
	require.Equal(t, "s3cret", p)
	_, ok = list.Password("nobody")
	require.False(t, ok)
	require.NotContains(t, list[0].String(), "s3cret")
}
