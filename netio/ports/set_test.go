package ports

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSetArithmetic(t *testing.T) {
	set := func(text string) Set {
		s, err := ParseSet(text)
		require.NoError(t, err)
		return s
	}
	for _, c := range []struct{ a, b, union, both, minus string }{
		{"", "", "", "", ""},
		{"1-10", "", "1-10", "", "1-10"},
		{"", "5", "5", "", ""},
		{"1-10", "11-20", "1-20", "", "1-10"},
		{"1-10", "5", "1-10", "5", "1-4,6-10"},
		{"1-10", "1-10", "1-10", "1-10", ""},
		{"1-10", "0-3,8-65535", "0-65535", "1-3,8-10", "4-7"},
		{"20000-29999", "8080,32768-60999", "8080,20000-29999,32768-60999", "", "20000-29999"},
		{"65535", "65534", "65534-65535", "", "65535"},
	} {
		a, b := set(c.a), set(c.b)
		require.Equal(t, c.union, a.Union(b).String(), "%s + %s", c.a, c.b)
		require.Equal(t, c.both, a.Intersect(b).String(), "%s and %s", c.a, c.b)
		require.Equal(t, c.minus, a.Minus(b).String(), "%s - %s", c.a, c.b)
	}
}

// Against the plainest model there is: a table of all ports.
func TestSetAgreesWithATable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var tables [2][]bool
		var sets [2]Set
		for i := range tables {
			tables[i] = make([]bool, 65536)
			var ranges []Range
			for range random.IntN(6) {
				low := random.IntN(65536)
				high := min(65535, low+random.IntN(9000))
				ranges = append(ranges, Range{Low: uint16(low), High: uint16(high)})
				for port := low; port <= high; port++ {
					tables[i][port] = true
				}
			}
			sets[i] = NewSet(ranges...)
		}
		union, both, minus := 0, 0, 0
		for port := range 65536 {
			a, b := tables[0][port], tables[1][port]
			if a || b {
				union++
			}
			if a && b {
				both++
			}
			if a && !b {
				minus++
			}
		}
		require.Equal(t, union, sets[0].Union(sets[1]).Len())
		require.Equal(t, both, sets[0].Intersect(sets[1]).Len())
		require.Equal(t, minus, sets[0].Minus(sets[1]).Len())
	}
}

func TestSetRefusesWhatIsNoList(t *testing.T) {
	for _, text := range []string{"a", "1-", "-1", "5-1", "65536", "1;2", "1--2"} {
		_, err := ParseSet(text)
		require.Error(t, err, text)
	}
}

func TestSetCountsPairsAroundIt(t *testing.T) {
	s := NewSet(Range{Low: 20001, High: 20001}, Range{Low: 20004, High: 20007})
	require.Equal(t, 7, s.Pairs(Range{Low: 20000, High: 20019}))
	require.Equal(t, 10, Set(nil).Pairs(Range{Low: 20000, High: 20019}))
	require.Equal(t, 0, s.Pairs(Range{}))
	require.Equal(t, 1, Set(nil).Pairs(Range{Low: 65534, High: 65535}))
}

func FuzzParseSet(f *testing.F) {
	for _, seed := range []string{"", "8080", "8080,20000-29999\n", "0-65535", "1,1,1", " 3 - 4 ,", "9-1", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSet(text)
		if err != nil {
			return
		}
		again, err := ParseSet(s.String())
		require.NoError(t, err)
		require.Equal(t, s.String(), again.String())
		for i, r := range s {
			require.LessOrEqual(t, r.Low, r.High)
			require.True(t, i == 0 || int(s[i-1].High)+1 < int(r.Low), "ranges touch")
		}
	})
}
