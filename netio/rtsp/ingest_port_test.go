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
