package ports

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescriptorReserve(t *testing.T) {
	for limit, want := range map[uint64]uint64{0: 0, 16: 4, 256: 32, 1024: 32, 4096: 81, 20000: 400, 65536: 512, math.MaxUint64: 512} {
		require.Equal(t, want, DescriptorReserve(limit), limit)
	}
}
