package slab

import (
	"errors"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// system is memory of the heap that looks like the system's.
type system struct {
	mu        sync.Mutex
	mapped    int // bytes
	discarded int // pieces
	full      bool
}

func (s *system) options() Options {
	return Options{
		Map: func(n int) ([]byte, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.full {
				return nil, errors.New("cannot allocate memory")
			}
			s.mapped += n
			return make([]byte, n), nil
		},
		Discard: func(b []byte) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.discarded++
			clear(b)
		},
		Unmap: func(b []byte) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.mapped -= len(b)
		},
	}
}

func TestThePieceUsedLastIsLentFirst(t *testing.T) {
	var sys system
	p := New(sys.options())
	require.Zero(t, sys.mapped, "nothing is asked for in advance")
	one, two := p.Take(), p.Take()
	require.Len(t, one.Data, Size)
	require.Equal(t, Size, cap(one.Data))
	require.Equal(t, Stats{Lent: 2 * Size}, p.Stats())
	p.Give(one)
	require.Equal(t, Stats{Lent: Size, Warm: Size}, p.Stats())
	require.Same(t, one, p.Take())
	p.Give(two)
	p.Give(one)
	require.Equal(t, regionPieces*Size, sys.mapped)
	p.Close()
	require.Zero(t, sys.mapped)
	p.Close()
	require.Nil(t, p.Take(), "it is closed")
}

func TestManyPiecesComeBackCold(t *testing.T) {
	var sys system
	p := New(sys.options())
	const many = 40 * regionPieces
	var lent []*Piece
	for range many {
		lent = append(lent, p.Take())
	}
	require.Equal(t, many*Size, sys.mapped)
	for _, piece := range lent {
		p.Give(piece)
	}
	require.Equal(t, Stats{Warm: leastWarm * Size}, p.Stats())
	require.GreaterOrEqual(t, sys.discarded, many-leastWarm)
	for range many {
		require.NotNil(t, p.Take())
	}
	require.Equal(t, many*Size, sys.mapped, "cold pieces are lent again")
}

func TestWithoutMemoryThereIsNoPiece(t *testing.T) {
	sys := system{full: true}
	p := New(sys.options())
	require.Nil(t, p.Take())
	sys.full = false
	require.NotNil(t, p.Take())
	var none *Pool
	require.Nil(t, none.Take())
	require.Zero(t, none.Stats())
	none.Close()
}

func TestMemoryIsGivenBackWithTheLastPiece(t *testing.T) {
	var sys system
	p := New(sys.options())
	one, two := p.Take(), p.Take()
	p.Close()
	p.Give(one)
	require.Positive(t, sys.mapped)
	two.Data[0] = 1
	p.Give(two)
	require.Zero(t, sys.mapped)
	require.Zero(t, p.Stats())
}

func TestNoTwoHoldTheSameMemory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var sys system
		p := New(sys.options())
		held := map[uintptr]*Piece{}
		var order []*Piece
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			if len(order) > 0 && rapid.IntRange(0, 2).Draw(rt, "give") == 0 {
				i := rapid.IntRange(0, len(order)-1).Draw(rt, "which")
				delete(held, address(order[i]))
				p.Give(order[i])
				order = append(order[:i], order[i+1:]...)
				continue
			}
			for range rapid.IntRange(1, 30).Draw(rt, "take") {
				piece := p.Take()
				require.NotContains(t, held, address(piece))
				held[address(piece)] = piece
				order = append(order, piece)
			}
		}
		require.Equal(t, int64(len(order))*Size, p.Stats().Lent)
		require.LessOrEqual(t, len(order)*Size, sys.mapped)
	})
}

func address(p *Piece) uintptr { return uintptr(unsafe.Pointer(&p.Data[0])) }

func TestPoolFromManyGoroutines(t *testing.T) {
	var sys system
	p := New(sys.options())
	var work sync.WaitGroup
	for g := range 8 {
		work.Go(func() {
			for i := range 300 {
				a, b := p.Take(), p.Take()
				a.Data[i], b.Data[i] = byte(g), byte(g)
				p.Give(a)
				if b.Data[i] != byte(g) {
					t.Error("somebody else has it too")
				}
				p.Give(b)
				_ = p.Stats()
			}
		})
	}
	work.Wait()
	require.Zero(t, p.Stats().Lent)
	p.Close()
	require.Zero(t, sys.mapped)
}
