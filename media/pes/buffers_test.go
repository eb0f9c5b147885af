package pes

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheSmallestBufferThatFitsIsTaken(t *testing.T) {
	p := &Buffers{}
	require.Equal(t, 32<<10, cap(p.Take(1)))
	require.Equal(t, 64<<10, cap(p.Take(32<<10+1)))
	require.Equal(t, 64<<10, cap(p.Take(64<<10)))
	for _, size := range []int{256 << 10, 32 << 10, 128 << 10, 64 << 10, 128 << 10} {
		p.Put(make([]byte, 7, size))
	}
	for _, want := range []int{64 << 10, 128 << 10, 128 << 10, 256 << 10, 64 << 10} {
		b := p.Take(50_000)
		require.Equal(t, want, cap(b))
		require.Empty(t, b)
	}
	require.Equal(t, 32<<10, p.bytes)
}

func TestWhatNobodyUsesIsBounded(t *testing.T) {
	p := &Buffers{}
	for _, size := range []int{32 << 10, 40 << 10, 1 << 20, largestKept + 1, 700 << 10, 32 << 10, 0} {
		for range 50 {
			p.Put(make([]byte, 0, size))
			sum := 0
			for _, b := range p.idle {
				sum += cap(b)
				require.LessOrEqual(t, cap(b), largestKept)
			}
			require.Equal(t, sum, p.bytes)
			require.LessOrEqual(t, sum, keptBytes)
			require.LessOrEqual(t, len(p.idle), keptBuffers)
		}
	}
	require.Equal(t, keptBuffers*32<<10, p.bytes, "those that nobody takes have gone first")
	large := p.Take(3 << 20)
	require.Equal(t, 4<<20, cap(large))
	p.Put(large)
	require.Equal(t, keptBuffers*32<<10, p.bytes)
}

func TestWithoutBuffersEachIsMadeAnew(t *testing.T) {
	var p *Buffers
	b := p.Take(100_000)
	require.Equal(t, 128<<10, cap(b))
	p.Put(b)
}

func TestBuffersHaveOneUserAtATime(t *testing.T) {
	p := &Buffers{Returned: func(b []byte) {
		for i := range b {
			b[i] = 0xaa
		}
	}}
	var all sync.WaitGroup
	for user := range byte(8) {
		all.Go(func() {
			for round := range 50 {
				b := p.Take(20_000 + 9000*(round%7))
				b = b[:cap(b)]
				for i := range b {
					b[i] = user
				}
				for i := range b {
					if b[i] != user {
						t.Errorf("byte %d of %d's buffer is %x", i, user, b[i])
						return
					}
				}
				p.Put(b)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, len(p.idle), keptBuffers)
}
