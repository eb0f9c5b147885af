package gb28181

import (
	"net/netip"
	"time"
)

const (
	// relearnAfter is how long the locked address must be silent before another one takes over.
	relearnAfter = 3 * time.Second
	// switchAfter is how long the locked SSRC must be silent before another one of the same address takes over: longer than from one picture to the next, so that a device which pushes two
	// streams to one port does not have them mixed, and shorter than it takes to invite a device anew.
	switchAfter = 200 * time.Millisecond
	// nearSequence is how far apart the sequence numbers of two packets of one stream may be, either way.
	nearSequence = 100
)

// admission is what a [sourceLock] says of a packet.
type admission uint8

const (
	admitted   admission = iota // of the device
	locked                      // of the device, which is another one than before, or begins anew
	relocked                    // of the device, which has another address now
	fromOthers                  // of another address
	otherSSRC                   // of the device's address, or of the first to come, but of an SSRC that is not wanted
	suspected                   // may be the first of a new stream; to be shown again by the next one that is admitted
)

// sourceLock decides which packets are the device's. The first valid packet locks its address and SSRC; a second one that belongs to it proves them. What a stranger sends is not heard, and does not keep a
// device alive that has gone; when the locked source is silent another one takes over, at once if its SSRC says that it is the same device behind a new address, else once two of its
// packets have belonged together. Owned by the lock of its [Source].
type sourceLock struct {
	relearn time.Duration
	want    uint32 // the only SSRC that is taken; 0 = any

	held   bool
	proven bool
	from   packetMark
	at     time.Time // of the last packet of the device

	other     packetMark // would like to be believed
	otherUsed bool
}

// packetMark is what two packets of one stream have nearly in common.
type packetMark struct {
	addr netip.AddrPort
	ssrc uint32
	seq  uint16
}

func (m packetMark) same(o packetMark) bool { return m.ssrc == o.ssrc && m.addr == o.addr }

func (m packetMark) follows(before packetMark) bool {
	d := int16(m.seq - before.seq)
	return m.same(before) && d != 0 && -nearSequence <= d && d <= nearSequence
}

// judge takes a valid packet.
func (l *sourceLock) judge(now time.Time, m packetMark) admission {
	if l.want != 0 && m.ssrc != l.want {
		if l.held && m.addr != l.from.addr {
			return fromOthers
		}
		return otherSSRC
	}
	if !l.held {
		l.take(now, m, false)
		return locked
	}
	if m.same(l.from) {
		l.proven = l.proven || m.follows(l.from)
		l.from.seq, l.at, l.otherUsed = m.seq, now, l.otherUsed && !l.proven
		return admitted
	}
	moved := m.addr != l.from.addr
	patience := switchAfter
	if moved {
		patience = l.relearn
	}
	silent := now.Sub(l.at) >= patience
	switch {
	case l.proven && !silent:
		return l.refuse(moved)
	case silent && m.ssrc == l.from.ssrc:
		l.take(now, m, true)
		return relocked
	case l.otherUsed && m.follows(l.other):
		l.take(now, m, true)
		return locked
	}
	l.other, l.otherUsed = m, true
	return suspected
}

func (l *sourceLock) refuse(moved bool) admission {
	if moved {
		return fromOthers
	}
	return otherSSRC
}

func (l *sourceLock) take(now time.Time, m packetMark, proven bool) {
	l.held, l.proven, l.from, l.at, l.otherUsed = true, proven, m, now, false
}

// release lets the next valid packet lock anew.
func (l *sourceLock) release() { l.held, l.proven, l.otherUsed = false, false, false }
