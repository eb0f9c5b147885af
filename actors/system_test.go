package actors

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

func TestTheTableOfActorsIsSmallAndForgetsNobody(t *testing.T) {
	system := actor.NewActorSystem()
	table := system.ProcessRegistry
	names := []string{}
	for range 5000 {
		name := "early" + table.NextId()
		_, added := table.Add(&inbox{}, name)
		require.True(t, added)
		names = append(names, name)
	}
	fewBuckets(table.LocalPIDs)
	require.Len(t, table.LocalPIDs.LocalPIDs, registryBuckets)
	for _, name := range names {
		_, known := table.GetLocal(name)
		require.True(t, known, name)
		_, added := table.Add(&inbox{}, name)
		require.False(t, added, "the name is taken")
	}
	require.Len(t, NewRuntime(zerolog.Nop()).System.ProcessRegistry.LocalPIDs.LocalPIDs, registryBuckets)
}
