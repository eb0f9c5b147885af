package ports

// Bounds of [DescriptorReserve].
const (
	minReserve = 32
	maxReserve = 512
)

// DescriptorReserve returns how many of so many descriptors a pool must leave alone, so that a process whose pool has taken all it could still accepts connections, answers its API
// and writes its files: a fiftieth, at least 32 and at most 512, and of a very small limit a quarter.
func DescriptorReserve(limit uint64) uint64 {
	return min(max(limit/50, minReserve), maxReserve, limit/4)
}
