package rtsp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// arrival is a packet that comes, and whether it is to be taken.
type arrival struct {
	after time.Duration // since the beginning
	port  uint16
	ssrc  uint32
	seq   uint16
	taken bool
}

func TestSourcePort(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		announced uint16
		come      []arrival
	}{
		"the port that was announced": {1000, []arrival{{0, 1000, 1, 1, true}, {1 * ms, 1000, 1, 2, true}, {2 * ms, 2000, 2, 1, false}}},
		"another port than announced": {1000, []arrival{{0, 3000, 1, 1, true}, {1 * ms, 3000, 1, 3, true}, {2 * ms, 3000, 1, 2, true}}},
		"no port announced":           {0, []arrival{{0, 3000, 1, 65535, true}, {1 * ms, 3000, 1, 0, true}, {2 * ms, 2000, 2, 1, false}, {3 * ms, 2000, 2, 2, false}}},
		"a stranger comes before the announced port": {1000, []arrival{
			{0, 2000, 9, 7, true}, {1 * ms, 1000, 1, 1, true}, {2 * ms, 1000, 1, 2, true}, {3 * ms, 2000, 9, 8, false}, {4 * ms, 2000, 9, 9, false},
		}},
		"a stranger comes before a port that was not announced": {0, []arrival{
			{0, 2000, 9, 7, true}, {1 * ms, 3000, 1, 1, false}, {2 * ms, 2000, 55, 700, true}, {3 * ms, 3000, 1, 2, true}, {4 * ms, 2000, 77, 31, false},
		}},
		"a new binding after a pause": {1000, []arrival{
			{0, 3000, 1, 1, true}, {1 * ms, 3000, 1, 2, true}, {1000 * ms, 4000, 1, 3, false}, {2001 * ms, 4000, 1, 4, true}, {2002 * ms, 3000, 1, 5, false},
		}},
		"another stream after a pause": {1000, []arrival{
			{0, 3000, 1, 1, true}, {1 * ms, 3000, 1, 2, true}, {2001 * ms, 4000, 5, 40, false}, {2002 * ms, 4000, 5, 41, true}, {2003 * ms, 4000, 5, 42, true},
		}},
		"noise during a pause": {1000, []arrival{
			{0, 1000, 1, 1, true},
			{1 * ms, 1000, 1, 2, true},
			{2001 * ms, 2000, 5, 40, false},
			{2500 * ms, 2000, 6, 41, false},
			{3000 * ms, 2000, 6, 9000, false},
			{3500 * ms, 2000, 6, 9000, false},
			{4000 * ms, 1000, 1, 3, true},
			{4001 * ms, 2000, 6, 9001, false},
		}},
		"a source that begins anew on its port": {1000, []arrival{{0, 1000, 1, 1, true}, {1 * ms, 1000, 1, 2, true}, {2 * ms, 1000, 2, 500, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sourcePort{announced: c.announced}
			for i, a := range c.come {
				pkt := make([]byte, 12)
				binary.BigEndian.PutUint16(pkt[2:], a.seq)
				binary.BigEndian.PutUint32(pkt[8:], a.ssrc)
				require.Equal(t, a.taken, s.believe(scriptStart.Add(a.after), a.port, pkt), "packet %d", i)
			}
		})
	}
}

// reportArrival is an RTCP packet that comes, and whether it is to be taken.
type reportArrival struct {
	after    time.Duration // since the beginning
	port     uint16
	expected uint16
	own      bool // it has the SSRC of the track's RTP
	heard    bool // there has been RTP
	taken    bool
}

func TestReportPort(t *testing.T) {
	const s = time.Second
	for name, come := range map[string][]reportArrival{
		"the announced port, before RTP and after": {{0, 1001, 1001, false, false, true}, {5 * s, 1001, 1001, true, true, true}, {6 * s, 2000, 1001, false, true, false}},
		"another program of the source's machine":  {{0, 2000, 1001, false, true, false}, {1 * s, 2000, 1001, false, true, false}, {2 * s, 1001, 1001, true, true, true}},
		"it comes before RTP":                      {{0, 2000, 1001, false, false, false}, {1 * s, 1001, 1001, true, true, true}, {2 * s, 2000, 1001, false, true, false}},
		"translated on the way":                    {{0, 40001, 1001, true, true, true}, {5 * s, 40001, 40001, true, true, true}, {6 * s, 1001, 40001, false, true, false}},
		"translated, and there was no RTP yet":     {{0, 40001, 1001, false, false, false}, {5 * s, 40001, 1001, true, true, true}},
		"nothing announced, on trust":              {{0, 40001, 0, false, false, true}, {5 * s, 40001, 40001, true, true, true}, {6 * s, 3000, 40001, false, true, false}},
		"trust was wrong":                          {{0, 2000, 0, false, false, true}, {1 * s, 3000, 2000, true, true, true}, {2 * s, 2000, 3000, false, true, false}},
		"beside RTP's":                             {{0, 3001, 3001, false, true, true}},
		"a new binding after a pause": {
			{0, 40001, 1001, true, true, true}, {5 * s, 50001, 40001, true, true, false}, {14 * s, 50001, 40001, true, true, false}, {16 * s, 50001, 40001, true, true, true}, {17 * s, 40001, 50001, true, true, false},
		},
		"an SSRC that it does not own":             {{0, 1001, 1001, false, true, true}, {5 * s, 1001, 1001, false, true, true}},
		"the proof outlives a restart of its SSRC": {{0, 1001, 1001, true, true, true}, {5 * s, 1001, 1001, false, true, true}, {6 * s, 2000, 1001, true, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var r reportPort
			for i, a := range come {
				require.Equal(t, a.taken, r.believe(scriptStart.Add(a.after), a.port, a.expected, a.own, a.heard), "packet %d", i)
			}
		})
	}
}
