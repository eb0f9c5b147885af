package rtpseq

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
)

func TestSequence(t *testing.T) {
	type step struct {
		seq  uint16
		want Verdict
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"plain", []step{{10, InOrder}, {11, InOrder}, {12, InOrder}}},
		{"wrap", []step{{65534, InOrder}, {65535, InOrder}, {0, InOrder}, {1, InOrder}}},
		{"gap over the wrap", []step{{65530, InOrder}, {3, Gap}, {65534, Late}, {65534, Duplicate}, {3, Duplicate}, {4, InOrder}}},
		{"late before the first", []step{{0, InOrder}, {65535, Late}, {1, InOrder}}},
		{"largest gap", []step{{0, InOrder}, {2999, Gap}}},
		{"far ahead, alone", []step{{0, InOrder}, {3000, Suspect}, {1, InOrder}, {3001, Suspect}}},
		{"far ahead, restarted", []step{{0, InOrder}, {30000, Suspect}, {30001, Restarted}, {30002, InOrder}, {30000, Duplicate}}},
		{"far back, restarted", []step{{5000, InOrder}, {10, Suspect}, {11, Restarted}}},
		{"last late one", []step{{200, InOrder}, {101, Late}, {100, Suspect}}},
		{"late beyond memory counts as late", []step{{200, InOrder}, {120, Late}, {120, Late}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Sequence
			for i, st := range c.steps {
				ext, got := s.Next(st.seq)
				require.Equal(t, st.want.String(), got.String(), "step %d", i)
				if got != Suspect {
					require.Equal(t, st.seq, uint16(ext), "step %d", i)
				}
			}
		})
	}
	require.Equal(t, "unknown", Verdict(99).String())
}

func TestSequenceFollowsACounterThroughManyWraps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Sequence
		real := rapid.Uint64Range(1<<16, 1<<17).Draw(t, "first")
		first, _ := s.Next(uint16(real))
		offset := real - first
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			real += rapid.Uint64Range(1, maxDropout-1).Draw(t, "step")
			ext, v := s.Next(uint16(real))
			require.Equal(t, real, ext+offset)
			require.Contains(t, []Verdict{InOrder, Gap}, v)
			require.Equal(t, ext, s.Highest())
		}
	})
}

func TestReceiverReport(t *testing.T) {
	r := Receiver{ClockRate: 8000}
	at := time.Unix(100, 0)
	require.Equal(t, Report{}, r.Report(at))
	for i := range 100 {
		if i%10 != 9 { // one in ten lost
			r.Packet(at.Add(time.Duration(i)*20*time.Millisecond), uint16(65500+i), uint32(i*160))
		}
	}
	require.EqualValues(t, 99, r.Expected(), "the last one of the hundred is not known of")
	require.EqualValues(t, 90, r.Received())
	require.EqualValues(t, 9, r.Lost())
	require.Zero(t, r.Jitter())

	r.SenderReport(at, 0x1122_3344_5566_7788)
	rep := r.Report(at.Add(1500 * time.Millisecond))
	require.Equal(t, uint8(9*256/99), rep.FractionLost)
	require.EqualValues(t, 9, rep.TotalLost)
	require.EqualValues(t, 65500+98, rep.HighestSeq, "with one cycle of 65536")
	require.EqualValues(t, 0x3344_5566, rep.LastSR)
	require.EqualValues(t, 3*65536/2, rep.Delay)
	require.Zero(t, r.Report(at).FractionLost, "nothing came since")

	for range 20 {
		_, v := r.Packet(at, 62, 98*160) // 65500+98 on the wire
		require.Equal(t, Duplicate, v)
	}
	require.EqualValues(t, -11, r.Report(at).TotalLost, "duplicates outnumber losses")
	require.Zero(t, r.Lost())
}

func TestReceiverJitter(t *testing.T) {
	r := Receiver{ClockRate: 90000}
	at := time.Unix(100, 0)
	late := 10 * time.Millisecond
	for i := range 2000 {
		now := at.Add(time.Duration(i) * 40 * time.Millisecond)
		if i%2 == 1 {
			now = now.Add(late)
		}
		r.Packet(now, uint16(2*i), uint32(i*3600))
		r.Packet(now.Add(3*time.Millisecond), uint16(2*i+1), uint32(i*3600)) // same picture
	}
	require.InDelta(t, late.Seconds(), r.Jitter().Seconds(), 0.001, "every distance is off by 10 ms")
}

func TestReceiverRestart(t *testing.T) {
	r := Receiver{ClockRate: 90000}
	at := time.Unix(100, 0)
	for i := range uint16(10) {
		r.Packet(at, i, 0)
	}
	r.Packet(at, 40000, 0)
	_, v := r.Packet(at, 40001, 0)
	require.Equal(t, Restarted, v)
	require.EqualValues(t, 12, r.Expected())
	require.EqualValues(t, 12, r.Received())
	require.Zero(t, r.Lost())
}

func TestUnknownClockHasNoJitter(t *testing.T) {
	r := Receiver{}
	r.Packet(time.Unix(1, 0), 1, 0)
	r.Packet(time.Unix(2, 0), 2, 5)
	require.Zero(t, r.Jitter())
	require.Equal(t, media.ClockRate(0), r.ClockRate)
}
