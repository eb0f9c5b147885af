package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeter(t *testing.T) {
	m := newMeter[string]()
	begin := time.Unix(1000, 0)
	at := func(second float64, bytes uint64) uint64 {
		return m.speed("a", begin, bytes, begin.Add(time.Duration(second*float64(time.Second))))
	}
	require.EqualValues(t, 0, at(0.5, 100), "too young to tell")
	require.EqualValues(t, 100, at(10, 1000), "the mean since it began")
	require.EqualValues(t, 100, at(10.5, 9000), "not again within a second")
	require.EqualValues(t, 4000, at(12, 9000), "the mean since the last look")
	require.EqualValues(t, 0, at(20, 9000))
	begin = begin.Add(time.Minute) // another stream of the same name
	require.EqualValues(t, 50, at(2, 100))
	require.Len(t, m.samples, 1)

	later := begin.Add(meterKeep + 2*time.Minute)
	m.speed("other", later, 0, later)
	require.Len(t, m.samples, 1, "a stream that nobody asks about is forgotten")
}

func TestCounterOfNeverFalls(t *testing.T) {
	var c counterOf[string]
	c.see("a", 1, 100)
	c.see("b", 1, 10)
	c.forget()
	require.EqualValues(t, 110, c.sum)
	c.see("a", 1, 150)
	c.forget()
	require.EqualValues(t, 160, c.sum)
	require.Len(t, c.things, 1, "b is gone")
	c.see("a", 2, 5) // its successor
	c.see("b", 1, 10)
	require.EqualValues(t, 175, c.sum)
	c.see("a", 2, 3) // a counter that fell began anew
	require.EqualValues(t, 178, c.sum)
}
