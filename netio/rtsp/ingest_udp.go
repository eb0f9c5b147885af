package rtsp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"berth/media/rtpseq"
)

const (
	datagramBuffer = 16 << 10 // longer datagrams are no RTP that could be sent on
	// errorPause keeps a socket that fails at once and again from costing a core.
	errorPause = 10 * time.Millisecond
)

// udpLeg receives one track on two borrowed sockets.
type udpLeg struct {
	ingest    *Ingest
	track     *ingestTrack
	rtp, rtcp *net.UDPConn
	peer      netip.Addr // without zone, to compare with
	to        netip.Addr // with zone, to send to

	reorder *rtpseq.Reorder // owned by the RTP loop
	from    sourcePort      // owned by the RTP loop
	armed   bool            // a read deadline is set; owned by the RTP loop
	reports reportPort      // owned by the RTCP loop
	// our reports go to the port that RTCP comes from; before that to the announced one, before that to the one beside RTP's.
	rtcpPort atomic.Uint32

	stopped chan struct{}
	wg      sync.WaitGroup
}

func newUDPLeg(g *Ingest, t *ingestTrack, rtp, rtcp *net.UDPConn, peer netip.Addr, announced [2]uint16) *udpLeg {
	l := &udpLeg{ingest: g, track: t, rtp: rtp, rtcp: rtcp, peer: peer.Unmap().WithZone(""), to: peer.Unmap(), stopped: make(chan struct{})}
	l.from.announced = announced[0]
	l.rtcpPort.Store(uint32(announced[1]))
	l.reorder = rtpseq.NewReorder(rtpseq.Options{
		Packets: g.opts.ReorderPackets, Wait: g.opts.ReorderWait,
		Emit: func(now time.Time, pkt []byte) { g.take(t, now, pkt) },
	})
	return l
}

func (l *udpLeg) start() {
	// A former leg on the same sockets was stopped by deadlines in the past. An error means a closed socket, which the loops see.
	_ = l.rtp.SetReadDeadline(time.Time{})
	_ = l.rtcp.SetReadDeadline(time.Time{})
	l.wg.Go(l.readRTP)
	l.wg.Go(l.readRTCP)
}

// stop wakes the loops and waits for them.
func (l *udpLeg) stop() {
	close(l.stopped)
	// The loops look at stopped after they set a deadline of their own, so one of the two is seen. An error means a closed socket: they have ended.
	_ = l.rtp.SetReadDeadline(longAgo())
	_ = l.rtcp.SetReadDeadline(longAgo())
	l.wg.Wait()
}

func (l *udpLeg) isStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// ended decides what a read error means: false to go on.
func (l *udpLeg) ended(err error) bool {
	if l.isStopped() || errors.Is(err, net.ErrClosed) {
		return true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	// ICMP errors of an earlier report show up here, and do not concern what comes in.
	pause := time.NewTimer(errorPause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return false
	case <-l.stopped:
		return true
	}
}

func (l *udpLeg) readRTP() {
	g, buf := l.ingest, make([]byte, datagramBuffer)
	for {
		if err := l.arm(); err != nil || l.isStopped() {
			return
		}
		n, from, err := l.rtp.ReadFromUDPAddrPort(buf)
		now := g.opts.Now()
		if err != nil {
			if l.ended(err) {
				return
			}
			l.reorder.Expire(now)
			continue
		}
		pkt := buf[:n]
		switch {
		case from.Addr().Unmap().WithZone("") != l.peer:
			g.strangers.Add(1)
		case n == len(buf) || !isRTP(pkt):
			if n > 0 { // empty datagrams keep address translations open
				g.invalid.Add(1)
			}
		case !l.believe(now, from.Port(), pkt):
			g.strangers.Add(1)
		default:
			before := l.reorder.Counters().Reordered
			g.account(l.track, now, pkt)
			l.reorder.Push(now, pkt)
			g.reordered.Add(l.reorder.Counters().Reordered - before)
		}
	}
}

// arm sets the read deadline to when the reorder window has work to do, and removes one that is not needed any more.
func (l *udpLeg) arm() error {
	at, due := l.reorder.Deadline()
	if !due && !l.armed {
		return nil
	}
	l.armed = due
	if !due {
		at = time.Time{}
	}
	return l.rtp.SetReadDeadline(at)
}

// believe locks on to the port that RTP comes from.
func (l *udpLeg) believe(now time.Time, port uint16, pkt []byte) bool {
	if !l.from.believe(now, port, pkt) {
		return false
	}
	if l.rtcpPort.Load() == 0 && port < 65535 {
		l.rtcpPort.Store(uint32(port) + 1)
	}
	return true
}

// believeReport holds the first SSRC of a compound packet, which is its sender's in all that a source sends (RFC 3550 section 6.4 to 6.7), against that of the track's RTP.
func (l *udpLeg) believeReport(now time.Time, port uint16, pkt []byte) bool {
	l.track.mu.Lock()
	heard, ssrc := l.track.known, l.track.ssrc
	l.track.mu.Unlock()
	own := heard && binary.BigEndian.Uint32(pkt[4:]) == ssrc
	return l.reports.believe(now, port, uint16(l.rtcpPort.Load()), own, heard) //nolint:gosec // it holds a port
}

func (l *udpLeg) readRTCP() {
	g, buf := l.ingest, make([]byte, 2048)
	for {
		n, from, err := l.rtcp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if l.ended(err) {
				return
			}
			continue
		}
		switch pkt := buf[:n]; {
		case from.Addr().Unmap().WithZone("") != l.peer:
			g.strangers.Add(1)
		case n < 8 || pkt[0]>>6 != 2 || pkt[1] < 192 || pkt[1] > 223:
			if n > 0 {
				g.invalid.Add(1)
			}
		case !l.believeReport(g.opts.Now(), from.Port(), pkt):
			g.strangers.Add(1)
		default:
			l.rtcpPort.Store(uint32(from.Port()))
			g.takeRTCP(l.track, g.opts.Now(), pkt)
		}
	}
}

// send sends a report back. Loss is fine, and so is a peer that does not listen.
func (l *udpLeg) send(pkt []byte) {
	if port := l.rtcpPort.Load(); port != 0 {
		_, _ = l.rtcp.WriteToUDPAddrPort(pkt, netip.AddrPortFrom(l.to, uint16(port)))
	}
}
