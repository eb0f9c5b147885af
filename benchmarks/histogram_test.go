package benchmarks

import (
	"math/bits"
	"testing"
	"time"
)

// histogram counts times in buckets that are at most a 32nd of the time wide. It takes no memory while counting.
type histogram struct {
	counts [59 * 32]uint64
	total  uint64
}

func (h *histogram) add(d time.Duration) {
	n := uint64(max(d, 32)) //nolint:gosec // positive
	exp := bits.Len64(n) - 6
	h.counts[exp*32+int(n>>exp)-32]++ //nolint:gosec // below 64
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile returns the upper end of the bucket that holds the share q of the times.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	for i, n := range h.counts {
		if n > rank || n > 0 && rank == 0 {
			return time.Duration(uint64(i%32+33) << (i / 32)) //nolint:gosec // small
		}
		rank -= n
	}
	return 0
}

// report adds the median and the 99th percentile to a benchmark's result, in microseconds.
func (h *histogram) report(b *testing.B) {
	b.ReportMetric(float64(h.quantile(0.50))/1e3, "p50-µs")
	b.ReportMetric(float64(h.quantile(0.99))/1e3, "p99-µs")
}

func TestHistogram(t *testing.T) {
	var h, other histogram
	for i := 1; i <= 1000; i++ {
		(&h).add(time.Duration(i) * time.Microsecond)
	}
	other.add(time.Hour)
	h.merge(&other)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Hour} {
		got := h.quantile(min(q, 1-1e-9))
		if got < want || got > want*33/32+1 {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
}
