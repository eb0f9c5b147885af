package ports

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRange(t *testing.T) {
	for _, tc := range []struct {
		r     Range
		pairs int
		text  string
	}{
		{Range{}, 0, "0-0"},
		{Range{30000, 30071}, 36, "30000-30071"},
		{Range{30001, 30071}, 35, "30001-30071"},
		{Range{30000, 30070}, 35, "30000-30070"},
		{Range{30001, 30070}, 34, "30001-30070"},
		{Range{30000, 30001}, 1, "30000-30001"},
		{Range{30001, 30002}, 0, "30001-30002"},
		{Range{65534, 65535}, 1, "65534-65535"},
		{Range{65535, 65535}, 0, "65535-65535"},
		{Range{1, 65535}, 32767, "1-65535"},
		{Range{0, 65535}, 32767, "0-65535"},
		{Range{30071, 30000}, 0, "30071-30000"},
	} {
		require.Equal(t, tc.pairs, tc.r.Pairs(), tc.text)
		require.Equal(t, tc.text, tc.r.String())
		l := NewLedger(Options{Range: tc.r})
		require.Equal(t, tc.pairs, l.Len(), tc.text)
		for s := range Slot(l.Len()) {
			port := l.Port(s)
			require.True(t, port%2 == 0 && tc.r.Contains(port) && tc.r.Contains(port+1), port)
			back, ok := l.At(port)
			require.True(t, ok && back == s, port)
			_, ok = l.At(port + 1)
			require.False(t, ok, port)
		}
		for _, outside := range []int{0, 1, int(tc.r.Low) - 2, int(tc.r.High) + 1, int(tc.r.High) + 2} {
			if outside >= 0 && outside <= 65535 && !tc.r.Contains(uint16(outside)) {
				_, ok := l.At(uint16(outside))
				require.False(t, ok, outside)
			}
		}
	}
}

var rangeCases = []struct {
	text string
	want Range
	ok   bool
}{
	{"20000-29999", Range{20000, 29999}, true},
	{" 20000 - 29999 ", Range{20000, 29999}, true},
	{"1-65535", Range{1, 65535}, true},
	{"5-5", Range{5, 5}, true},
	{"", Range{}, false},
	{"20000", Range{}, false},
	{"0-10", Range{}, false},
	{"29999-20000", Range{}, false},
	{"20000-65536", Range{}, false},
	{"20000--29999", Range{}, false},
	{"a-b", Range{}, false},
	{"+1-2", Range{}, false},
}

func TestParseRange(t *testing.T) {
	for _, tc := range rangeCases {
		got, err := ParseRange(tc.text)
		require.Equal(t, tc.ok, err == nil, "%q: %v", tc.text, err)
		require.Equal(t, tc.want, got, "%q", tc.text)
	}
}

func FuzzParseRange(f *testing.F) {
	for _, tc := range rangeCases {
		f.Add(tc.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRange(text)
		if err != nil {
			require.True(t, r.IsZero())
			return
		}
		require.False(t, r.IsZero())
		again, err := ParseRange(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func TestSockets(t *testing.T) {
	for _, tc := range []struct {
		set   Sockets
		valid bool
		text  string
	}{
		{0, false, "none"},
		{UDPPair, true, "udp"},
		{TCPListener, true, "tcp"},
		{UDPPair | TCPListener, true, "udp+tcp"},
		{UDPPair | 64, false, "udp+unknown"},
	} {
		require.Equal(t, tc.valid, tc.set.Valid(), tc.text)
		require.Equal(t, tc.text, tc.set.String())
	}
	require.True(t, (UDPPair | TCPListener).Has(TCPListener))
	require.False(t, UDPPair.Has(UDPPair|TCPListener))
}

func TestCounts(t *testing.T) {
	c := Counts{}
	require.Equal(t, "no pairs", c.String())
	c[Free], c[Leased], c[Foreign], c[Excluded] = 3, 30, 2, 1
	require.Equal(t, "3 free, 30 leased, 2 foreign, 1 excluded", c.String())
	require.Equal(t, 36, c.Total())
	require.Equal(t, 33, c.Leasable())
	require.Equal(t, 30, c.Of(Leased))
	require.Zero(t, c.Of(State(200)))
	seen := map[string]bool{}
	for _, s := range States() {
		require.NotEqual(t, "unknown", s.String())
		require.False(t, seen[s.String()])
		seen[s.String()] = true
	}
	require.Len(t, States(), int(lastState))
	require.Equal(t, "unknown", State(0).String())
}
