package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryDefaultIsWithinItsBounds(t *testing.T) {
	for _, k := range Keys() {
		got, err := k.Check(k.Default)
		require.NoError(t, err, k.Name)
		require.Equal(t, k.Default, got, k.Name)
	}
}
