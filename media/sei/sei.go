package sei

// recoveryPoint is the payload type of the recovery point message (ITU-T H.264 section D.2.8, ITU-T H.265 section D.2.8).
const recoveryPoint = 6

// HasRecoveryPoint reports whether a SEI unit, without its NAL unit header, holds a recovery point message. Emulation prevention bytes are counted as payload, which can only
// make it miss a later message of the same unit, never find one that is not there at its start.
func HasRecoveryPoint(unit []byte) bool {
	for b := unit; len(b) >= 2 && b[0] != 0x80; {
		kind, rest := number(b)
		size, rest := number(rest)
		if rest == nil {
			return false
		}
		if kind == recoveryPoint {
			return true
		}
		if size >= len(rest) {
			return false
		}
		b = rest[size:]
	}
	return false
}

// number reads a number coded as a run of 0xff and a last byte; rest is nil when it is cut off.
func number(b []byte) (n int, rest []byte) {
	for i, v := range b {
		n += int(v)
		if v != 0xff {
			return n, b[i+1:]
		}
	}
	return 0, nil
}
