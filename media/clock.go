package media

import (
	"math/bits"
	"time"
)

// ClockRate is a number of ticks a second, for instance 90000. Zero means unknown.
type ClockRate uint32

// Ticks is a time or a span in units of a [ClockRate]. Unlike a 32-bit RTP timestamp it does not wrap.
type Ticks int64

// Ticks converts a span to ticks, rounded towards zero, without overflow on the way; the result saturates. A zero rate gives zero.
func (r ClockRate) Ticks(d time.Duration) Ticks {
	return Ticks(mulDiv(int64(d), uint64(r), uint64(time.Second)))
}

// Duration converts ticks to a span, rounded towards zero, without overflow on the way; the result saturates. A zero rate gives zero.
func (r ClockRate) Duration(t Ticks) time.Duration {
	return time.Duration(mulDiv(int64(t), uint64(time.Second), uint64(r)))
}

// Convert changes ticks of this rate into ticks of another, rounded towards zero. A zero rate gives zero.
func (r ClockRate) Convert(t Ticks, to ClockRate) Ticks {
	return Ticks(mulDiv(int64(t), uint64(to), uint64(r)))
}

// mulDiv returns v*mul/div through a 128-bit product, saturating at the ends of int64; zero when div is zero.
func mulDiv(v int64, mul, div uint64) int64 {
	if div == 0 {
		return 0
	}
	const maxInt = 1<<63 - 1
	neg := v < 0
	abs := uint64(v)
	if neg {
		abs = -abs
	}
	hi, lo := bits.Mul64(abs, mul)
	if hi >= div {
		if neg {
			return -maxInt - 1
		}
		return maxInt
	}
	q, _ := bits.Div64(hi, lo, div)
	switch {
	case neg && q > maxInt:
		return -maxInt - 1
	case q > maxInt:
		return maxInt
	case neg:
		return -int64(q)
	}
	return int64(q)
}

// TimestampDiff returns a-b of two 32-bit RTP timestamps as the shorter way round the circle (RFC 3550 section 5.1).
func TimestampDiff(a, b uint32) Ticks { return Ticks(int32(a - b)) }
