package gb28181

import (
	"bytes"
	"net/netip"
	"time"
)

const (
	// maxNewcomers bounds the sources that have sent one packet and are waited for to send another.
	maxNewcomers = 256
	// newcomerBytes is the longest first packet that is kept; longer ones are lost.
	newcomerBytes = 4 << 10
	// refusedFor is how long an SSRC that was refused is not asked about again.
	refusedFor = time.Second
	// maxRefused bounds the SSRCs that are remembered as refused.
	maxRefused = 1024
)

// newcomers are those who may turn out to be devices of a port. One packet proves nothing: anybody can send one with a random SSRC and a false address. Guarded by the port's lock.
type newcomers struct {
	byMark  map[newcomerKey]*newcomer
	order   [maxNewcomers]newcomerKey // in which they came, as a ring
	next    int                       // place in order of the next one
	refused map[uint32]time.Time
}

type newcomerKey struct {
	addr netip.AddrPort
	ssrc uint32
}

type newcomer struct {
	mark packetMark
	pkt  []byte
	at   int // place in order
}

func newNewcomers() newcomers {
	return newcomers{byMark: map[newcomerKey]*newcomer{}, refused: map[uint32]time.Time{}}
}

// prove takes a packet of an unknown source, and returns the one before it when the two belong together.
func (n *newcomers) prove(from netip.AddrPort, v *rtpView) (first []byte, proven bool) {
	key := newcomerKey{from, v.SSRC}
	mark := packetMark{from, v.SSRC, v.Seq}
	c := n.byMark[key]
	switch {
	case c != nil && mark.follows(c.mark):
		n.forget(key)
		return c.pkt, true
	case c == nil:
		c = &newcomer{at: n.next}
		delete(n.byMark, n.order[n.next])
		n.order[n.next] = key
		n.next = (n.next + 1) % maxNewcomers
		n.byMark[key] = c
	}
	c.mark, c.pkt = mark, nil
	if len(v.whole) <= newcomerBytes {
		c.pkt = bytes.Clone(v.whole)
	}
	return nil, false
}

func (n *newcomers) forget(key newcomerKey) {
	if c := n.byMark[key]; c != nil {
		n.order[c.at] = newcomerKey{}
		delete(n.byMark, key)
	}
}

// refuse remembers that nobody wants an SSRC.
func (n *newcomers) refuse(now time.Time, ssrc uint32) {
	if len(n.refused) >= maxRefused {
		clear(n.refused)
	}
	n.refused[ssrc] = now
}

func (n *newcomers) isRefused(now time.Time, ssrc uint32) bool {
	at, ok := n.refused[ssrc]
	if ok && now.Sub(at) >= refusedFor {
		delete(n.refused, ssrc)
		return false
	}
	return ok
}
