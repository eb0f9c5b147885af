package rtpseq

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// packet makes an RTP packet that carries nothing but its numbers.
func packet(seq uint16, ssrc uint32) []byte {
	b := make([]byte, rtpHeaderSize+2)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	binary.BigEndian.PutUint16(b[12:], ^seq)
	return b
}

func TestReorder(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		at   time.Duration
		seq  int // -1 only lets time pass
		want []uint16
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  Counters
	}{
		{"in order over the wrap", []step{{0, 65535, []uint16{65535}}, {0, 0, []uint16{0}}, {0, 1, []uint16{1}}}, Counters{Emitted: 3}},
		{"swapped", []step{{0, 1, []uint16{1}}, {0, 3, nil}, {0, 2, []uint16{2, 3}}}, Counters{Emitted: 3, Reordered: 1}},
		{"swapped over the wrap", []step{{0, 65534, []uint16{65534}}, {0, 0, nil}, {0, 65535, []uint16{65535, 0}}}, Counters{Emitted: 3, Reordered: 1}},
		{"hole given up by time, then late", []step{
			{0, 1, []uint16{1}},
			{0, 3, nil},
			{50 * ms, 4, nil},
			{99 * ms, -1, nil},
			{100 * ms, -1, []uint16{3, 4}},
			{101 * ms, 2, nil},
		}, Counters{Emitted: 3, Reordered: 2, Lost: 1, Late: 1}},
		{"hole given up by window", []step{{0, 1, []uint16{1}}, {0, 3, nil}, {0, 10, []uint16{3}}, {0, 4, []uint16{4}}}, Counters{Emitted: 3, Reordered: 2, Lost: 1}},
		{"hole larger than the window", []step{{0, 1, []uint16{1}}, {0, 100, []uint16{100}}}, Counters{Emitted: 2, Lost: 98}},
		{"duplicates", []step{{0, 1, []uint16{1}}, {0, 1, nil}, {0, 3, nil}, {0, 3, nil}, {0, 2, []uint16{2, 3}}, {0, 3, nil}}, Counters{Emitted: 3, Reordered: 1, Duplicates: 3}},
		{"far jump alone", []step{{0, 1, []uint16{1}}, {0, 40000, nil}, {0, 2, []uint16{2}}}, Counters{Emitted: 2}},
		{"far jump", []step{{0, 1, []uint16{1}}, {0, 40000, nil}, {0, 40001, []uint16{40000, 40001}}, {0, 40002, []uint16{40002}}}, Counters{Emitted: 4, Restarts: 1}},
		{"far jump lets go of what is held", []step{{0, 1, []uint16{1}}, {0, 3, nil}, {0, 40000, nil}, {0, 40001, []uint16{3, 40000, 40001}}}, Counters{Emitted: 4, Reordered: 1, Lost: 1, Restarts: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []uint16
			r := NewReorder(Options{Packets: 8, Emit: func(_ time.Time, pkt []byte) {
				seq := binary.BigEndian.Uint16(pkt[2:])
				require.Equal(t, ^seq, binary.BigEndian.Uint16(pkt[12:]), "content belongs to the number")
				got = append(got, seq)
			}})
			start := time.Unix(1000, 0)
			for i, st := range c.steps {
				got = nil
				if st.seq < 0 {
					r.Expire(start.Add(st.at))
				} else {
					r.Push(start.Add(st.at), packet(uint16(st.seq), 7))
				}
				require.Equal(t, st.want, got, "step %d", i)
			}
			require.Equal(t, c.want, r.Counters())
		})
	}
}

func TestReorderNewSource(t *testing.T) {
	var got []uint16
	r := NewReorder(Options{Emit: func(_ time.Time, pkt []byte) { got = append(got, binary.BigEndian.Uint16(pkt[2:])) }})
	now := time.Unix(1000, 0)
	r.Push(now, packet(5, 1))
	r.Push(now, packet(7, 1))
	require.Equal(t, 1, r.Held())
	at, ok := r.Deadline()
	require.True(t, ok)
	require.Equal(t, now.Add(100*time.Millisecond), at)
	r.Push(now, packet(1000, 2))
	require.Equal(t, []uint16{5, 7, 1000}, got)
	_, ok = r.Deadline()
	require.False(t, ok)
	r.Push(now, []byte{0x80})
	require.Equal(t, Counters{Emitted: 3, Reordered: 1, Lost: 1, Restarts: 1, Invalid: 1}, r.Counters())
}

// Whatever the network does, numbers leave in order, none twice, and every packet is accounted for.
func TestReorderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 300).Draw(t, "window")
		now := time.Unix(1000, 0)
		last, pushed, emitted := int64(-1), 0, 0
		base := uint16(rapid.IntRange(0, 65535).Draw(t, "base"))
		r := NewReorder(Options{Packets: window, Emit: func(_ time.Time, pkt []byte) {
			off := int64(int16(binary.BigEndian.Uint16(pkt[2:]) - base))
			require.Greater(t, off, last)
			last = off
			emitted++
		}})
		n := rapid.IntRange(1, 400).Draw(t, "n")
		for i := range n {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "ms")) * time.Millisecond)
			r.Push(now, packet(base+uint16(max(i+rapid.IntRange(-40, 40).Draw(t, "shift"), 0)), 7))
			pushed++
			require.LessOrEqual(t, r.Held(), window)
		}
		now = now.Add(time.Second)
		r.Expire(now)
		c := r.Counters()
		require.Zero(t, r.Held())
		require.EqualValues(t, emitted, c.Emitted)
		require.EqualValues(t, pushed, c.Emitted+c.Late+c.Duplicates)
		require.Zero(t, c.Restarts)
	})
}

func TestReorderAllocatesNothing(t *testing.T) {
	r := NewReorder(Options{Emit: func(time.Time, []byte) {}})
	now := time.Unix(1000, 0)
	pkt := packet(0, 7)
	var seq uint16
	push := func(s uint16) {
		binary.BigEndian.PutUint16(pkt[2:], s)
		r.Push(now, pkt)
	}
	round := func() {
		push(seq)
		push(seq + 2)
		push(seq + 1)
		seq += 3
	}
	for range 1000 {
		round() // every slot gets its buffer
	}
	require.Zero(t, testing.AllocsPerRun(1000, round))
}

func FuzzReorder(f *testing.F) {
	f.Add([]byte{0, 1, 0, 3, 0, 2})
	f.Add([]byte{0xff, 0xff, 0, 0, 0x90, 0, 0x90, 1})
	f.Fuzz(func(t *testing.T, seqs []byte) {
		emitted := 0
		r := NewReorder(Options{Packets: 16, Emit: func(time.Time, []byte) { emitted++ }})
		now := time.Unix(1000, 0)
		for ; len(seqs) >= 2; seqs = seqs[2:] {
			now = now.Add(time.Millisecond)
			r.Push(now, packet(binary.BigEndian.Uint16(seqs), 7))
			require.LessOrEqual(t, r.Held(), 16)
		}
		require.EqualValues(t, emitted, r.Counters().Emitted)
	})
}
