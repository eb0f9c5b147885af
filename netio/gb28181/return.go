package gb28181

import (
	"errors"
	"net/netip"
)

// Errors of a [ReturnPath].
var (
	// ErrPathClosed says that the device is gone, or that it sends from elsewhere now: ask for a new path.
	ErrPathClosed = errors.New("the way back to the device is closed: the device is gone or has another address now")
	// ErrNoDevice says that there is no way back yet, because no device has sent a valid packet.
	ErrNoDevice = errors.New("no device has sent anything yet")
)

// ReturnPath is the way back to a device, over the socket or connection on which it pushes. It is made by [Receiver.ReturnPath] and [Port.ReturnPath], and closed when the device is lost: when its
// connection ends, when the source locks on to another address, or with the receiver. All methods may be called from any goroutine.
type ReturnPath struct {
	peer, local netip.AddrPort
	tcp         bool
	box         *outbox // shared by all paths over the same connection
	closed      chan struct{}
}

// Write takes whole RTP or RTCP packets, in order, and returns without waiting. They are copied. Over TCP each goes behind the framing that the device uses. Packets that find the
// queue full (256 KiB) are dropped and counted; taken is how many were not. The error is ErrPathClosed, always with taken = 0, or nil.
func (p *ReturnPath) Write(packets ...[]byte) (taken int, err error) {
	select {
	case <-p.closed:
		return 0, ErrPathClosed
	default:
	}
	return p.box.add(p.peer, packets...)
}

// Closed is closed when the path is.
func (p *ReturnPath) Closed() <-chan struct{} { return p.closed }

// Peer returns the device's address.
func (p *ReturnPath) Peer() netip.AddrPort { return p.peer }

// Local returns the address of our socket.
func (p *ReturnPath) Local() netip.AddrPort { return p.local }

// TCP reports whether it is a connection.
func (p *ReturnPath) TCP() bool { return p.tcp }

// Stats returns the counters of the socket or connection, which all its paths share.
func (p *ReturnPath) Stats() ReturnStats { return p.box.stats() }

// ReturnStats are the counters of one way back.
type ReturnStats struct {
	Packets uint64 // handed to the kernel
	Bytes   uint64 // of these, with framing
	Dropped uint64 // that found the queue full, or were still in it at the end
	Errors  uint64 // failed writes
}
