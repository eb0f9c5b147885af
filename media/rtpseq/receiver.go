package rtpseq

import (
	"time"

	"berth/media"
)

// Report is the content of a reception report block (RFC 3550 section 6.4.1).
type Report struct {
	FractionLost uint8  // of 256, since the previous report
	TotalLost    int32  // since the start, within 24 bits; negative when duplicates outnumber losses
	HighestSeq   uint32 // extended highest sequence number received
	Jitter       uint32 // in ticks of the RTP clock
	LastSR       uint32 // middle 32 bits of the NTP time of the last sender report, 0 when none came
	Delay        uint32 // since that report came, in 1/65536 s
}

// Receiver keeps the reception statistics of one source. The zero value with a ClockRate is ready.
type Receiver struct {
	ClockRate media.ClockRate // of the RTP timestamps; 0 leaves the jitter at 0

	seq  Sequence
	base uint64 // first extended number since the start or restart

	received      uint64
	carried       uint64 // expected before the last restart
	expectedPrior uint64
	receivedPrior uint64

	jitter      int64 // 16 times the jitter in ticks (RFC 3550 appendix A.8)
	lastArrival time.Time
	lastTS      uint32

	srAt  time.Time
	srMid uint32
}

// Packet takes a packet in and returns its extended sequence number and what it means. Suspect packets count as nothing until their successor proves them.
func (r *Receiver) Packet(now time.Time, seq uint16, timestamp uint32) (uint64, Verdict) {
	first := !r.seq.started
	prior := r.seq.highest
	ext, verdict := r.seq.Next(seq)
	switch {
	case verdict == Suspect:
		return ext, verdict
	case first:
		r.base = ext
	case verdict == Restarted:
		r.carried += prior - r.base + 1
		r.base = ext - 1 // the suspect packet came, too
		r.received++
		r.lastArrival = time.Time{}
	}
	r.received++
	if verdict == InOrder || verdict == Gap || verdict == Restarted {
		r.transit(now, timestamp)
	}
	return ext, verdict
}

// transit updates the jitter. Packets of one picture share a timestamp but not an arrival, so only the first of each timestamp counts.
func (r *Receiver) transit(now time.Time, timestamp uint32) {
	if r.lastArrival.IsZero() {
		r.lastArrival, r.lastTS = now, timestamp
		return
	}
	if timestamp == r.lastTS {
		return
	}
	d := int64(r.ClockRate.Ticks(now.Sub(r.lastArrival)) - media.TimestampDiff(timestamp, r.lastTS))
	r.lastArrival, r.lastTS = now, timestamp
	if d < 0 {
		d = -d
	}
	const sane = 1 << 32 // a clock jump must not stay in the average for minutes
	if d > sane {
		return
	}
	r.jitter += d - (r.jitter+8)>>4
}

// SenderReport notes a sender report's NTP time (64-bit fixed point, RFC 3550 section 4) for the next Report.
func (r *Receiver) SenderReport(now time.Time, ntp uint64) {
	r.srAt, r.srMid = now, uint32(ntp>>16)
}

// Expected returns how many packets the source has sent by its sequence numbers.
func (r *Receiver) Expected() uint64 {
	if !r.seq.started {
		return 0
	}
	return r.carried + r.seq.highest - r.base + 1
}

// Received returns how many packets have come, duplicates and late ones included.
func (r *Receiver) Received() uint64 { return r.received }

// Lost returns how many packets are missing now; late ones come off again.
func (r *Receiver) Lost() uint64 {
	if e := r.Expected(); e > r.received {
		return e - r.received
	}
	return 0
}

// Jitter returns the interarrival jitter.
func (r *Receiver) Jitter() time.Duration {
	return r.ClockRate.Duration(media.Ticks(r.jitter >> 4))
}

// Report makes a report block and begins the next interval of FractionLost.
func (r *Receiver) Report(now time.Time) Report {
	const max24 = 1<<23 - 1
	expected := r.Expected()
	rep := Report{
		TotalLost:  int32(min(max(int64(expected)-int64(r.received), -max24-1), max24)),
		HighestSeq: uint32(r.seq.highest - 1<<16),
		Jitter:     uint32(min(r.jitter>>4, 1<<32-1)),
		LastSR:     r.srMid,
	}
	if !r.seq.started {
		rep.HighestSeq = 0
	}
	if !r.srAt.IsZero() {
		rep.Delay = uint32(min(media.ClockRate(1<<16).Ticks(max(now.Sub(r.srAt), 0)), 1<<32-1))
	}
	expectedNow := int64(expected - r.expectedPrior)
	lost := expectedNow - int64(r.received-r.receivedPrior)
	r.expectedPrior, r.receivedPrior = expected, r.received
	if expectedNow > 0 && lost > 0 {
		rep.FractionLost = uint8(min(lost<<8/expectedNow, 255))
	}
	return rep
}
