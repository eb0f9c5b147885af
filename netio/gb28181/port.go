package gb28181

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"berth/netio/udp"
)

// PortOptions set up a [Port].
type PortOptions struct {
	// UDP is the socket of all devices; nil without. It is never closed here.
	UDP *net.UDPConn
	// RTCP is the socket above it; nil when RTCP shares UDP. It is never closed here.
	RTCP *net.UDPConn
	// Listener accepts connections of devices; nil without. It is closed with the port, unless it has a SetDeadline to be woken with, as a *net.TCPListener has.
	Listener net.Listener
	// NewSource is asked who takes the packets of an SSRC that has not been heard before, once two of them have belonged together. Its answer is fed until [Port.Remove]; nil means that nobody does, and is
	// believed for a second. It is called by the goroutine that read the packet, must not wait, and must not call the port. Required.
	NewSource func(ssrc uint32, peer netip.AddrPort, tcp bool) *Source
	// MaxConnections bounds the connections. Default 4096.
	MaxConnections int
	// ReadBuffer is the receive buffer of each socket and connection in bytes (`rtp_proxy.udp_recv_socket_buffer`), which the kernel may cap; 0 leaves the system's default.
	ReadBuffer int
	// Buffers are shared with receivers. Default some of its own.
	Buffers *Buffers
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// portTick is how often the sources of a port are looked at.
const portTick = 100 * time.Millisecond

// Port feeds any number of sources from one UDP socket and one TCP listener: one for each SSRC, which tells its device from others with the same SSRC by address. It has a goroutine for each socket, one that
// accepts, one for each connection, and one for what is due by the clock. All methods may be called from any goroutine.
type Port struct {
	opts  PortOptions
	local netip.AddrPort
	loop  *socketLoop
	udp   *udpLoop // nil without UDP
	box   *outbox  // for datagrams to devices; nil without UDP

	mu        sync.RWMutex // guards what follows
	bySSRC    map[uint32]*Source
	ssrcs     map[*Source]uint32
	newcomers newcomers
	conns     map[netip.AddrPort]*portConn
	keeping   bool // the goroutine that looks at the clock runs

	invalid, unknown, refused, turned atomic.Uint64
}

// NewPort begins to receive. It fails on closed sockets only.
func NewPort(opts PortOptions) (*Port, error) {
	if opts.MaxConnections <= 0 {
		opts.MaxConnections = 4096
	}
	if opts.Buffers == nil {
		opts.Buffers = &Buffers{}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	p := &Port{
		opts: opts, loop: newSocketLoop(), bySSRC: map[uint32]*Source{}, ssrcs: map[*Source]uint32{},
		newcomers: newNewcomers(), conns: map[netip.AddrPort]*portConn{},
	}
	if err := p.open(); err != nil {
		p.loop.stop()
		return nil, fmt.Errorf("receive rtp of many: %w", err)
	}
	return p, nil
}

func (p *Port) open() error {
	if p.opts.UDP != nil {
		p.local = p.opts.UDP.LocalAddr().(*net.UDPAddr).AddrPort()
		p.box = newUDPOutbox(p.opts.UDP)
		if p.opts.ReadBuffer > 0 {
			if err := p.opts.UDP.SetReadBuffer(p.opts.ReadBuffer); err != nil {
				return err
			}
		}
		var err error
		if p.udp, err = p.read(p.opts.UDP, p.takeUDP); err != nil {
			return err
		}
	}
	if p.opts.RTCP != nil {
		if _, err := p.read(p.opts.RTCP, p.takeRTCPs); err != nil {
			return err
		}
	}
	if p.opts.Listener != nil {
		if p.opts.UDP == nil {
			p.local = unmapped(p.opts.Listener.Addr())
		}
		return p.listen()
	}
	return nil
}

func (p *Port) read(conn *net.UDPConn, batch func(time.Time, []udp.Packet)) (*udpLoop, error) {
	u, err := newUDPLoop(p.loop, conn, p.opts.Buffers, p.opts.Now)
	if err != nil {
		return nil, err
	}
	u.batch, u.tick = batch, func(time.Time) (time.Time, bool) { return time.Time{}, false }
	return u, u.start()
}

// takeUDP gives each run of packets of one SSRC to its source.
func (p *Port) takeUDP(now time.Time, packets []udp.Packet) {
	for len(packets) > 0 {
		ssrc, ok := streamOf(packets[0].Data)
		if !ok {
			p.takeOther(now, packets[0])
			packets = packets[1:]
			continue
		}
		n := 1
		for n < len(packets) {
			if next, ok := streamOf(packets[n].Data); !ok || next != ssrc {
				break
			}
			n++
		}
		if s := p.source(ssrc); s != nil {
			s.pushBatch(now, packets[:n])
		} else {
			for _, one := range packets[:n] {
				if s = p.greet(now, one.From, one.Data, false); s != nil {
					s.PushUDP(now, one.From, one.Data)
				}
			}
		}
		packets = packets[n:]
	}
}

// streamOf returns the SSRC of what may be an RTP packet.
func streamOf(pkt []byte) (ssrc uint32, ok bool) {
	if len(pkt) < rtpHeaderSize || pkt[0]>>6 != 2 || IsRTCP(pkt) {
		return 0, false
	}
	return binary.BigEndian.Uint32(pkt[8:]), true
}

// takeOther takes what is no RTP.
func (p *Port) takeOther(now time.Time, one udp.Packet) {
	if len(one.Data) == 0 { // empty datagrams keep address translations open
		return
	}
	ssrc, ok := sourceOf(one.Data)
	if !ok || one.Data[0]>>6 != 2 || !IsRTCP(one.Data) {
		p.invalid.Add(1)
		return
	}
	if s := p.source(ssrc); s != nil {
		s.PushRTCP(now, one.From, one.Data)
	} else {
		p.unknown.Add(1)
	}
}

func (p *Port) takeRTCPs(now time.Time, packets []udp.Packet) {
	for _, one := range packets {
		p.takeOther(now, one)
	}
}

func (p *Port) source(ssrc uint32) *Source {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.bySSRC[ssrc]
}

// greet takes a packet of an SSRC that has no source. When it proves that there is a device it returns the new source, which has been given the packet before this one.
func (p *Port) greet(now time.Time, from netip.AddrPort, pkt []byte, tcp bool) *Source {
	v, ok := viewRTP(pkt)
	if !ok {
		p.invalid.Add(1)
		return nil
	}
	p.mu.Lock()
	if s := p.bySSRC[v.SSRC]; s != nil { // another goroutine was faster
		p.mu.Unlock()
		return s
	}
	if p.newcomers.isRefused(now, v.SSRC) {
		p.mu.Unlock()
		p.refused.Add(1)
		return nil
	}
	first, proven := p.newcomers.prove(from, &v)
	if !proven {
		p.mu.Unlock()
		p.unknown.Add(1)
		return nil
	}
	s := p.opts.NewSource(v.SSRC, from, tcp)
	if s == nil {
		p.newcomers.refuse(now, v.SSRC)
		p.mu.Unlock()
		p.refused.Add(1)
		return nil
	}
	p.bySSRC[v.SSRC], p.ssrcs[s] = s, v.SSRC
	if !p.keeping {
		p.keeping = p.loop.start(p.keep, func() {})
	}
	p.mu.Unlock()
	if len(first) > 0 {
		s.mu.Lock()
		s.push(now, from, first, tcp)
		s.mu.Unlock()
		p.unknown.Add(^uint64(0)) // it was none, after all
	}
	return s
}

// keep does for all sources what is due by the clock, while there are any.
func (p *Port) keep() {
	ticker := time.NewTicker(portTick)
	defer ticker.Stop()
	var sources []*Source
	for {
		select {
		case <-ticker.C:
		case <-p.loop.closing:
			return
		}
		p.mu.Lock()
		sources = sources[:0]
		for s := range p.ssrcs {
			sources = append(sources, s)
		}
		if len(sources) == 0 {
			p.keeping = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		now := p.opts.Now()
		for _, s := range sources {
			if report, to := s.Tick(now); report != nil {
				p.report(report, to)
			}
		}
	}
}

// report sends a receiver report.
func (p *Port) report(report []byte, to netip.AddrPort) {
	p.mu.RLock()
	c := p.conns[to]
	p.mu.RUnlock()
	switch {
	case c != nil:
		_, _ = c.tcp.box.add(to, report) // a connection that has ended
	case p.opts.RTCP != nil:
		_, _ = p.opts.RTCP.WriteToUDPAddrPort(report, to) // devices need not listen
	case p.opts.UDP != nil:
		_, _ = p.opts.UDP.WriteToUDPAddrPort(report, to)
	}
}

// Remove stops feeding a source: its packets are those of a newcomer from then on. The source is not closed. It does nothing for a source that is not the port's.
func (p *Port) Remove(s *Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ssrc, ok := p.ssrcs[s]; ok {
		delete(p.ssrcs, s)
		delete(p.bySSRC, ssrc)
	}
}

// ReturnPath returns the way back to the device of a source for two-way talk. The error is ErrNoDevice when it has none.
func (p *Port) ReturnPath(s *Source) (*ReturnPath, error) {
	return s.returnPath(func(peer netip.AddrPort, tcp bool) (netip.AddrPort, *outbox) {
		if !tcp {
			return p.local, p.box
		}
		p.mu.RLock()
		defer p.mu.RUnlock()
		if c := p.conns[peer]; c != nil {
			return c.tcp.local, c.tcp.box
		}
		return netip.AddrPort{}, nil
	})
}

// PortStatus is what a [Port] knows beside the counters of its sources.
type PortStatus struct {
	Local       netip.AddrPort
	Sources     int
	Connections int
	Invalid     uint64 // datagrams and frames that were no RTP or RTCP
	Unknown     uint64 // packets of sources that were not proven
	Refused     uint64 // packets of sources that nobody wanted
	Turned      uint64 // connections ended because there were too many, or because no device spoke on them
	ReadBuffer  int    // bytes that the UDP socket's receive buffer may take, as the kernel gave it; 0 when unknown
	Drops       uint64 // datagrams that the kernel dropped since the port began because that was full
}

// Status returns what is so at the moment.
func (p *Port) Status() PortStatus {
	p.mu.RLock()
	s := PortStatus{Local: p.local, Sources: len(p.ssrcs), Connections: len(p.conns)}
	p.mu.RUnlock()
	s.Invalid, s.Unknown, s.Refused, s.Turned = p.invalid.Load(), p.unknown.Load(), p.refused.Load(), p.turned.Load()
	if p.udp != nil {
		k := p.udp.status()
		s.ReadBuffer, s.Drops = k.ReadBuffer, k.Drops
	}
	return s
}

// Close ends connections, wakes all goroutines and waits for them. Sources are left to their owner, who must not wait for Close in NewSource. It may be called again.
func (p *Port) Close() {
	p.loop.stop()
	if p.box != nil {
		p.box.close()
	}
}
