package stream

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// udpLoop reads what viewers send to a shared pair: receiver reports on the RTCP socket, NAT punching packets on the RTP socket. Two goroutines, which end with close.
type udpLoop struct {
	book     *addressBook
	now      func() time.Time
	conns    [2]*net.UDPConn
	closing  atomic.Bool
	strange  atomic.Uint64 // packets that were no RTCP, or from nobody we know
	finished sync.WaitGroup
}

// failurePause keeps a socket that fails again and again from costing a processor.
const failurePause = 10 * time.Millisecond

func startUDPLoop(rtp, rtcp *net.UDPConn, book *addressBook, now func() time.Time) *udpLoop {
	l := &udpLoop{book: book, now: now, conns: [2]*net.UDPConn{rtp, rtcp}}
	l.finished.Go(func() { l.run(rtp, func([]byte) bool { return false }) })
	l.finished.Go(func() { l.run(rtcp, validRTCP) })
	return l
}

// run reads until close. counts says whether a packet is a sign of life.
func (l *udpLoop) run(conn *net.UDPConn, counts func([]byte) bool) {
	buf := make([]byte, 2048) // longer packets are cut, and then are no valid RTCP
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if l.closing.Load() || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(failurePause)
			continue
		}
		if !counts(buf[:n]) {
			l.strange.Add(1)
			continue
		}
		if h := l.book.find(from); h != nil {
			h.note(l.now())
		} else {
			l.strange.Add(1)
		}
	}
}

// close wakes both goroutines and waits for them. The sockets stay open; they are the pool's.
func (l *udpLoop) close() {
	if !l.closing.Swap(true) {
		for _, conn := range l.conns {
			_ = conn.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, whose reader has returned
		}
	}
	l.finished.Wait()
}

// validRTCP checks a compound packet as RFC 3550 appendix A.2 says, except that it may also begin with other packets than reports (RFC 5506).
func validRTCP(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 || b[1] < 192 || b[1] > 223 {
			return false
		}
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		padded := b[0]&0x20 != 0 // allowed in the last packet only
		if size > len(b) || padded && size < len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}
