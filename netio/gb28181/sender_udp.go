package gb28181

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"berth/netio/udp"
)

// UDPSockets are the pair that a sender uses. Its owner keeps them open until the sender has been closed, and closes them.
type UDPSockets struct {
	RTP  *net.UDPConn
	RTCP *net.UDPConn
}

// What leaves at once, and a second while more is due.
const (
	paceBurst = 64 << 10 // bytes
	paceRate  = 8 << 20  // bytes a second
)

// fullPause is how long a sender waits when the socket's buffer is full: it drains at the speed of the network card.
const fullPause = time.Millisecond

// udpOutlet sends datagrams.
type udpOutlet struct {
	sender  *Sender
	sockets UDPSockets
	passive bool

	// owned by the writing goroutine
	to      netip.AddrPort
	out     *datagrams
	pace    udp.Pace
	failing time.Time // since when nothing could be sent
	began   time.Time // of sending
	cname   string
	report  []byte

	reportPort atomic.Uint32 // where the peer's RTCP comes from; until then the port after its RTP port
}

// SendUDP sends to peer, or, when peer is the zero value, to whoever sends the first packet to sockets.RTP. Reports go to the port after the peer's, and are heard on sockets.RTCP.
func SendUDP(opts SenderOptions, sockets UDPSockets, peer netip.AddrPort) (*Sender, error) {
	o := &udpOutlet{sockets: sockets, passive: peer == netip.AddrPort{}, to: peer, pace: udp.Pace{Burst: paceBurst, Least: paceRate}}
	if !o.passive {
		if err := checkPeer(peer); err != nil {
			return nil, err
		}
		if err := o.aim(peer); err != nil {
			return nil, err
		}
	}
	opts.setDefaults()
	// Former users of the sockets were woken by deadlines in the past. An error means a closed socket, which the loops see.
	_ = sockets.RTCP.SetDeadline(time.Time{})
	_ = sockets.RTP.SetDeadline(time.Time{})
	if o.passive {
		_ = sockets.RTP.SetReadDeadline(time.Now().Add(opts.PeerTimeout))
	}
	return start(opts, func(s *Sender) outlet {
		o.sender = s
		o.cname = fmt.Sprintf("berth-%08x", opts.SSRC)
		if o.out != nil && opts.DisableGSO {
			o.out.gso = false
		}
		return o
	}), nil
}

func (o *udpOutlet) aim(peer netip.AddrPort) (err error) {
	o.to = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	o.out, err = newDatagrams(o.sockets.RTP, peer)
	return err
}

func (o *udpOutlet) open() (local, peer netip.AddrPort, err error) {
	s := o.sender
	if o.passive {
		if err := o.await(); err != nil {
			return local, peer, err
		}
	}
	if !s.unlessClosed(func() { _ = o.sockets.RTP.SetReadDeadline(time.Time{}) }) {
		return local, peer, ErrSenderClosed
	}
	o.began = s.opts.Now()
	s.running.Go(o.hear)
	if s.opts.Source != nil {
		s.running.Go(o.receive)
	}
	return addrOf(o.sockets.RTP.LocalAddr()), o.to, nil
}

// await waits for the first packet.
func (o *udpOutlet) await() error {
	s := o.sender
	buf := make([]byte, 64<<10)
	for {
		n, from, err := o.sockets.RTP.ReadFromUDPAddrPort(buf)
		switch {
		case s.stopped():
			return ErrSenderClosed
		case isTimeout(err):
			return fmt.Errorf("%w: nobody has sent a packet to port %d", ErrNoUDPPeer, addrOf(o.sockets.RTP.LocalAddr()).Port())
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			if err := s.pause(fullPause); err != nil {
				return err
			}
			continue
		}
		if err := o.aim(from); err != nil {
			return err
		}
		o.out.gso = o.out.gso && !s.opts.DisableGSO
		if s.opts.Source != nil && n > 0 {
			s.opts.Source.PushUDP(s.opts.Now(), o.to, buf[:n])
		}
		return nil
	}
}

// write sends a batch. A peer that cannot be reached costs its packets, and ends the sender after WriteTimeout.
func (o *udpOutlet) write(b *batch) error {
	s := o.sender
	o.pace.Learn(s.last.arrived, b.bytes)
	for first := 0; first < b.count; {
		now := s.opts.Now()
		if wait := o.pace.Wait(now); wait > 0 {
			if err := s.pause(wait); err != nil {
				return err
			}
			continue
		}
		n, err := o.out.send(b, first)
		if n > 0 {
			o.failing = time.Time{}
			bytes := 0
			for i := first; i < first+n; i++ {
				bytes += b.size(i)
			}
			s.sent(n, bytes, bytes-n*rtpHeaderSize)
			o.pace.Spend(bytes)
			first += n
		}
		if err == nil {
			continue
		}
		if err := o.failed(now, err); err != nil {
			return err
		}
		if !errors.Is(err, udp.ErrFull) && !errors.Is(err, udp.ErrSegments) {
			s.errors.Add(1)
			s.lost.Add(1)
			first++
		}
	}
	return nil
}

// failed decides what a failed write means: an error ends the sender.
func (o *udpOutlet) failed(now time.Time, err error) error {
	s := o.sender
	switch {
	case errors.Is(err, net.ErrClosed):
		return err
	case errors.Is(err, udp.ErrSegments):
		o.out.gso = false // the way to this peer does not take them
		return nil
	case o.failing.IsZero():
		o.failing = now
	case now.Sub(o.failing) >= s.opts.WriteTimeout:
		return fmt.Errorf("%s cannot be reached: %w", o.to, err)
	}
	if errors.Is(err, udp.ErrFull) {
		return s.pause(fullPause)
	}
	return nil
}

// tick sends a report, and ends a sender whose peer sends none.
func (o *udpOutlet) tick(now time.Time) error {
	s := o.sender
	if s.opts.NeedReports {
		heard := o.began
		if at := s.reported.Load(); at != 0 {
			heard = time.Unix(0, at)
		}
		if now.Sub(heard) >= s.opts.ReportTimeout {
			return ErrNoReports
		}
	}
	packets := s.packets.Load()
	if packets == 0 {
		return nil
	}
	port := uint16(o.reportPort.Load())
	if port == 0 {
		if port = o.to.Port() + 1; port == 0 {
			return nil
		}
	}
	o.report = appendSenderReport(o.report[:0], s.opts.SSRC, s.timestampAt(now), now, packets, s.octets.Load(), o.cname)
	if _, err := o.sockets.RTCP.WriteToUDPAddrPort(o.report, netip.AddrPortFrom(o.to.Addr(), port)); err != nil {
		s.errors.Add(1) // a peer without RTCP answers by ICMP; nothing depends on reports that we send
	}
	return nil
}

// reply implements outlet. A source knows by itself where its device hears reports.
func (o *udpOutlet) reply(report []byte, to netip.AddrPort) error {
	if _, err := o.sockets.RTCP.WriteToUDPAddrPort(report, to); err != nil {
		o.sender.errors.Add(1)
	}
	return nil
}

// hear reads the peer's reports.
func (o *udpOutlet) hear() {
	o.read(o.sockets.RTCP, func(now time.Time, from netip.AddrPort, pkt []byte) {
		if source := o.sender.opts.Source; source != nil {
			source.PushRTCP(now, from, pkt)
		}
		if isReceiverReport(pkt) {
			o.sender.reported.Store(now.UnixNano())
			o.reportPort.Store(uint32(from.Port()))
		}
	})
}

// receive reads what the peer sends back.
func (o *udpOutlet) receive() {
	source := o.sender.opts.Source
	o.read(o.sockets.RTP, func(now time.Time, from netip.AddrPort, pkt []byte) { source.PushUDP(now, from, pkt) })
}

// read reads packets of the peer's address until the sender is closed.
func (o *udpOutlet) read(conn *net.UDPConn, take func(now time.Time, from netip.AddrPort, pkt []byte)) {
	s := o.sender
	buf := make([]byte, 2048) // longer ones are neither reports nor RTP that fits a network's packets
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if s.stopped() || isTimeout(err) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // ICMP errors of former packets show up here
			if s.pause(fullPause) != nil {
				return
			}
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if from.Addr() == o.to.Addr() && n < len(buf) {
			take(s.opts.Now(), from, buf[:n])
		}
	}
}

func (o *udpOutlet) wake() {
	past := time.Unix(1, 0)
	_ = o.sockets.RTP.SetReadDeadline(past) // an error means a closed socket, whose readers have returned
	_ = o.sockets.RTCP.SetDeadline(past)
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// addrOf returns an address in IPv4 form where it is one.
func addrOf(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	case *net.TCPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
