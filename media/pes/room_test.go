package pes

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// spoiled are buffers what comes back to which is of no use to anybody any more.
func spoiled(own int) *Buffers {
	spoil := bytes.Repeat([]byte{0xaa}, 4096)
	return &Buffers{Own: own, Returned: func(b []byte) {
		for len(b) > 0 {
			b = b[copy(b, spoil):]
		}
	}}
}

// gather has a room gather one unit in pieces of 1,400 bytes, and hand it on.
func gather(r *Room, b []byte, n int) []byte {
	for n > 0 {
		piece := min(n, 1400)
		b = r.Grow(b, piece)
		b = b[:len(b)+piece]
		n -= piece
	}
	r.Unit()
	return r.Settle(b, len(b))
}

// FuzzRoom holds what lies in a room against what was put there, and its bounds.
func FuzzRoom(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint16(300*seed), seed%3 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, own uint16, alone bool) {
		const most = 300_000
		rnd := rand.New(rand.NewPCG(seed, 1))
		shared := spoiled(int(own))
		if alone {
			shared = nil
		}
		r := NewRoom(shared, most)
		var b, want []byte
		for range 600 {
			n := rnd.IntN(1 << rnd.IntN(18))
			if len(want)+n <= most {
				piece := bytes.Repeat([]byte{byte(rnd.Uint32())}, n)
				b = append(r.Grow(b, n), piece...)
				want = append(want, piece...)
			}
			if rnd.IntN(3) > 0 {
				r.Unit()
				n := len(want)
				if rnd.IntN(2) > 0 {
					n = rnd.IntN(n + 1)
				}
				b = r.Settle(b, n)
				want = want[:copy(want, want[n:])]
			}
			if !bytes.Equal(b, want) {
				t.Fatal("it is not what was put there")
			}
			if cap(b) > 512<<10 || cap(r.own) > max(r.limit, len(want)) || alone && r.borrowed {
				t.Fatalf("%d bytes of %d, %d of its own, which may be %d", cap(b), len(want), cap(r.own), r.limit)
			}
		}
	})
}

func TestAStreamKeepsWhatMostOfItsUnitsNeed(t *testing.T) {
	r := NewRoom(&Buffers{}, 4<<20)
	var b []byte
	second := func(ordinary int) {
		for n := range 25 {
			size := ordinary
			if n == 0 {
				size = 10 * ordinary
			}
			b = gather(&r, b, size)
		}
	}
	for _, c := range []struct{ ordinary, least, most int }{
		{7000, 7000, 8 << 10}, {200, 0, 8 << 10}, {20_000, 20_000, 32 << 10}, {60_000, 60_000, 64 << 10}, {7000, 7000, 8 << 10},
	} {
		for range 60 {
			second(c.ordinary)
		}
		require.False(t, r.Borrowed())
		require.GreaterOrEqual(t, cap(b), c.least, "%d", c.ordinary)
		require.LessOrEqual(t, cap(b), c.most, "%d", c.ordinary)
		require.Zero(t, testing.AllocsPerRun(50, func() { second(c.ordinary) }), "%d", c.ordinary)
	}
}

func TestAStreamWithoutSharedBuffersKeepsWhatItsLargestUnitNeeds(t *testing.T) {
	r := NewRoom(nil, 4<<20)
	var b []byte
	for range 10 {
		b = gather(&r, b, 200_000)
		for range 60 {
			b = gather(&r, b, 5000)
		}
	}
	require.GreaterOrEqual(t, cap(b), 200_000)
	for range 3 * roomWindow {
		b = gather(&r, b, 5000)
	}
	require.LessOrEqual(t, cap(b), 8<<10)
}

func TestALargeUnitIsMovedOnceWhereOthersWereLarge(t *testing.T) {
	moved := 0
	r := NewRoom(&Buffers{}, 4<<20)
	grow := func(n int) {
		var b []byte
		for len(b) < n {
			was := r.Borrowed()
			grown := r.Grow(b, 1000)
			if (was || r.Borrowed()) && cap(grown) != cap(b) {
				moved++
			}
			b = grown[:len(b)+1000]
		}
		r.Unit()
		r.Settle(b, len(b))
	}
	grow(200_000)
	require.Equal(t, 4, moved, "32, 64, 128 and 256 KiB")
	moved = 0
	grow(190_000)
	grow(150_000)
	require.Equal(t, 2, moved)
}

func TestAUnitOfAnySizeIsBounded(t *testing.T) {
	for _, shared := range []*Buffers{nil, {}} {
		r := NewRoom(shared, 3<<20)
		var b []byte
		for len(b)+1000 <= 3<<20 {
			b = r.Grow(b, 1000)
			b = b[:len(b)+1000]
			require.LessOrEqual(t, cap(b), 4<<20)
		}
		b = r.Settle(b, len(b)-10)
		require.Len(t, b, 10)
		require.False(t, r.Borrowed())
	}
}
