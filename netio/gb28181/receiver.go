package gb28181

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth/netio/udp"
)

const (
	// maxConnections bounds the connections of one receiver: the device's, the one that replaces it, and two that are neither.
	maxConnections = 4
	// strangerTime is how long a connection may stay that is not the device's.
	strangerTime = 10 * time.Second
)

// ReceiverOptions set up a [Receiver].
type ReceiverOptions struct {
	// Source is fed, and closed with the receiver. Required.
	Source *Source
	// RTP and RTCP are a leased pair; nil without UDP. They are never closed here.
	RTP, RTCP *net.UDPConn
	// Listener accepts connections of devices (tcp_mode 1); nil without. It is never closed here.
	Listener *net.TCPListener
	// ReadBuffer is the receive buffer of each socket and connection in bytes (`rtp_proxy.udp_recv_socket_buffer`), which the kernel may cap; 0 leaves the system's default.
	ReadBuffer int
	// Buffers are shared with other receivers. Default some of its own.
	Buffers *Buffers
	// Ended is told when the connection of the device, or one that we have made, has ended without another in its place; err is io.EOF when the device ended it. It is called by the goroutine that read
	// it and must not wait.
	Ended func(peer netip.AddrPort, err error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Receiver feeds one source from a pair of sockets, from connections that it accepts, and from those that it makes ([Receiver.Connect]). One device at a time is heard: see [Source].
// It has one goroutine for RTP, one for RTCP once a device has been heard, one that accepts, and one for each connection. All methods may be called from any goroutine.
type Receiver struct {
	opts   ReceiverOptions
	source *Source
	local  netip.AddrPort
	loop   *socketLoop
	rtp    *udpLoop    // nil without UDP
	heard  atomic.Bool // the RTCP loop has been started
	came   atomic.Bool // something has come in

	mu      sync.Mutex // guards what follows
	conns   []*tcpLoop // in the order in which they came
	device  *tcpLoop   // the connection of the device; nil when it has none
	refused uint64
	box     *outbox // for datagrams to the device; nil before the first path
}

// NewReceiver begins to receive. It fails on closed sockets only.
func NewReceiver(opts ReceiverOptions) (*Receiver, error) {
	if opts.Buffers == nil {
		opts.Buffers = &Buffers{}
	}
	if opts.Ended == nil {
		opts.Ended = func(netip.AddrPort, error) {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	r := &Receiver{opts: opts, source: opts.Source, loop: newSocketLoop()}
	if err := r.open(); err != nil {
		r.loop.stop()
		return nil, fmt.Errorf("receive rtp: %w", err)
	}
	return r, nil
}

func (r *Receiver) open() (err error) {
	if r.opts.RTP != nil {
		r.local = r.opts.RTP.LocalAddr().(*net.UDPAddr).AddrPort()
		if r.rtp, err = r.newUDPLoop(r.opts.RTP); err != nil {
			return err
		}
		r.rtp.batch, r.rtp.tick = r.takeRTP, r.tick
		if err := r.rtp.start(); err != nil {
			return err
		}
	}
	if r.opts.Listener != nil {
		if r.opts.RTP == nil {
			r.local = unmapped(r.opts.Listener.Addr())
		}
		return r.listen()
	}
	return nil
}

func (r *Receiver) newUDPLoop(conn *net.UDPConn) (*udpLoop, error) {
	if r.opts.ReadBuffer > 0 {
		// The kernel caps what is asked for, without an error.
		if err := conn.SetReadBuffer(r.opts.ReadBuffer); err != nil {
			return nil, err
		}
	}
	return newUDPLoop(r.loop, conn, r.opts.Buffers, r.opts.Now)
}

// Mute reports whether nothing has ever come in, valid or not: no datagram for RTP, and no connection.
func (r *Receiver) Mute() bool { return !r.came.Load() }

func (r *Receiver) takeRTP(now time.Time, packets []udp.Packet) {
	if !r.came.Load() {
		r.came.Store(true)
	}
	if r.source.pushBatch(now, packets) {
		r.hearRTCP()
	}
}

// hearRTCP begins to read the RTCP socket, which nobody needs before there is a device.
func (r *Receiver) hearRTCP() {
	if r.opts.RTCP == nil || r.heard.Swap(true) {
		return
	}
	loop, err := newUDPLoop(r.loop, r.opts.RTCP, r.opts.Buffers, r.opts.Now)
	if err != nil {
		return // closed
	}
	loop.batch = func(now time.Time, packets []udp.Packet) {
		for _, p := range packets {
			r.source.PushRTCP(now, p.From, p.Data)
		}
	}
	loop.tick = func(time.Time) (time.Time, bool) { return time.Time{}, false }
	_ = loop.start() // a closed socket
}

// tick does what is due for the source; of a UDP loop.
func (r *Receiver) tick(now time.Time) (time.Time, bool) {
	at, due, report, to := r.source.service(now)
	if report == nil {
		return at, due
	}
	if device := r.deviceConn(to); device != nil {
		_, _ = device.box.add(to, report) // a connection that has ended
	} else if r.opts.RTCP != nil {
		_, _ = r.opts.RTCP.WriteToUDPAddrPort(report, to) // devices need not listen
	}
	return at, due
}

func (r *Receiver) deviceConn(peer netip.AddrPort) *tcpLoop {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.device != nil && r.device.peer == peer {
		return r.device
	}
	return nil
}

// ReturnPath returns the way back to the device for two-way talk. The error is ErrNoDevice before the first valid packet and after the device's connection has ended.
func (r *Receiver) ReturnPath() (*ReturnPath, error) {
	return r.source.returnPath(func(peer netip.AddrPort, tcp bool) (netip.AddrPort, *outbox) {
		if tcp {
			if device := r.deviceConn(peer); device != nil {
				return device.local, device.box
			}
			return netip.AddrPort{}, nil
		}
		return r.local, r.datagrams()
	})
}

func (r *Receiver) datagrams() *outbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.box == nil && r.opts.RTP != nil && !r.loop.closed() {
		r.box = newUDPOutbox(r.opts.RTP)
	}
	return r.box
}

// ReceiverStatus is what a [Receiver] knows beside its source's counters.
type ReceiverStatus struct {
	Local       netip.AddrPort // of the sockets; zero for one that only connects
	Connections int            // open now
	Refused     uint64         // connections ended because there were too many, or because they were not the device's
	ReadBuffer  int            // bytes that the RTP socket's receive buffer may take, as the kernel gave it; 0 when unknown
	Drops       uint64         // datagrams that the kernel dropped since the receiver began because that was full
}

// Status returns what is so at the moment.
func (r *Receiver) Status() ReceiverStatus {
	r.mu.Lock()
	s := ReceiverStatus{Local: r.local, Connections: len(r.conns), Refused: r.refused}
	r.mu.Unlock()
	if r.rtp != nil {
		k := r.rtp.status()
		s.ReadBuffer, s.Drops = k.ReadBuffer, k.Drops
	}
	return s
}

// Source returns the source that is fed.
func (r *Receiver) Source() *Source { return r.source }

// Close ends connections, wakes all goroutines and waits for them, and closes the source. The leased sockets are not used any more once it returns, and have a deadline in the past. It may be called again, but not from a callback.
func (r *Receiver) Close() {
	r.loop.stop()
	r.mu.Lock()
	box := r.box
	r.mu.Unlock()
	if box != nil {
		box.close()
	}
	r.source.Close()
}

// forget removes a connection that has ended, and reports whether the owner is to hear of it.
func (r *Receiver) forget(t *tcpLoop) (told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.conns, t); i >= 0 {
		r.conns = slices.Delete(r.conns, i, i+1)
	}
	told = (r.device == t || t.ours) && !t.replaced
	if r.device == t {
		r.device = nil
	}
	return told
}
