package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/portpool"
	"berth/media"
)

func TestCoolingPairsAreReadAgain(t *testing.T) {
	key := media.StreamKey{VHost: "v", App: "a", Stream: "s"}
	pairs := []portpool.Remembered{{Port: 20000, Stream: key, Purpose: portpool.PurposeRTSPPull, Peer: "192.0.2.1:5000", Ended: time.Unix(1700000000, 0).UTC()}}
	dir := t.TempDir()
	f := start(t, dir)
	require.Empty(t, ask[*Cooling](f, &GetCooling{}).Pairs)
	require.NoError(t, ask[*Done](f, &PutCooling{pairs}).Err)
	f.stop()
	f = start(t, dir)
	require.Equal(t, &Cooling{Pairs: pairs}, ask[*Cooling](f, &GetCooling{}))
	require.NoError(t, ask[*Done](f, &PutCooling{nil}).Err)
	require.Empty(t, ask[*Cooling](f, &GetCooling{}).Pairs)
	f.stop()
	require.Empty(t, ask[*Cooling](start(t, dir), &GetCooling{}).Pairs)
}

func TestOfTooManyCoolingPairsTheLastOnesAreKept(t *testing.T) {
	key := media.StreamKey{VHost: media.DefaultVHost, App: "rtp", Stream: "34020000001320000001"}
	began := time.Unix(1700000000, 0).UTC()
	all := make([]portpool.Remembered, 20_000)
	for i := range all {
		all[i] = portpool.Remembered{Port: uint16(2 * i), Stream: key, Purpose: portpool.PurposeRTPReceive, Ended: began.Add(time.Duration(i) * time.Millisecond)}
	}
	f := start(t, t.TempDir())
	require.NoError(t, ask[*Done](f, &PutCooling{all}).Err)
	kept := ask[*Cooling](f, &GetCooling{}).Pairs
	require.Greater(t, len(kept), 4000)
	require.Less(t, len(kept), len(all))
	for i, pair := range kept {
		require.Equal(t, all[len(all)-1-i], pair)
	}
}

func TestCoolingPairsOfAnotherVersionAreNoReasonToStop(t *testing.T) {
	c := newContents()
	c[bucketCooling][coolingKey] = []byte(`{"not":"a list"}`)
	require.Empty(t, c.cooling())
	_, err := c.decode()
	require.NoError(t, err)
}
