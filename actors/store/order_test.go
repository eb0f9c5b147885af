package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// What is asked after a write shows the write, although it may still be on its way to the disk: a generation that reads the definitions while the last writes of the one before are
// under way would otherwise run what has been deleted, and not run what has been stored.
func TestQueriesShowTheWritesBeforeThem(t *testing.T) {
	f := start(t, t.TempDir())
	require.NoError(t, f.put(0))
	asker := actortest.NewProbe(t, actortest.Runtime(), "asker")
	value := "v"
	for n := 1; n <= 20; n++ {
		asker.Request(f.pid, &PutProxy{testProxy(n)})
		asker.Request(f.pid, &DeleteProxy{testKey(n - 1)})
		asker.Request(f.pid, &PutOverrides{Values: map[string]*string{"key": &value}})
		asker.Request(f.pid, &ListProxies{})
		listed := actortest.Await[*Proxies](t, asker)
		require.Len(t, listed.Proxies, 1)
		require.Equal(t, testKey(n), listed.Proxies[0].Key)
		asker.Request(f.pid, &PutOverrides{Values: map[string]*string{"key": nil}})
		asker.Request(f.pid, &GetOverrides{})
		require.Empty(t, actortest.Await[*Overrides](t, asker).Values)
	}
	f.stop()
}

// A query that waits for writes is answered with them when the store ends.
func TestStopAnswersWaitingQueries(t *testing.T) {
	f := start(t, t.TempDir())
	require.NoError(t, f.put(0))
	asker := actortest.NewProbe(t, actortest.Runtime(), "asker")
	asker.Request(f.pid, &PutProxy{testProxy(1)})
	asker.Request(f.pid, &ListProxies{})
	asker.Request(f.pid, &GetHealth{}) // is answered at once: then the store has taken the others
	stopped := false
	for listed := false; !listed || !stopped; {
		switch actortest.Await[any](t, asker).(type) {
		case *Health:
			f.stop()
			stopped = true
		case *Proxies:
			listed = true
		}
	}
}
