package hub

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type deaf struct{ _ byte }

func (*deaf) Wake(time.Duration) {}

func TestAWriterKnowsWhetherAnybodyHears(t *testing.T) {
	h := New(nil, Options{})
	w, _, err := h.Attach(nil)
	require.NoError(t, err)
	require.False(t, w.Watched())
	one, two := &deaf{}, &deaf{}
	h.Subscribe(one)
	h.Subscribe(two)
	require.True(t, w.Watched())
	h.Unsubscribe(one)
	h.Unsubscribe(one)
	require.True(t, w.Watched())
	h.Unsubscribe(two)
	require.False(t, w.Watched())
}
