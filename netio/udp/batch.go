package udp

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Packet is one datagram of a batch.
type Packet struct {
	Data []byte         // valid until the handler returns
	From netip.AddrPort // IPv4 senders in IPv4 form, whatever the family of the socket
}

// Buffers are what readers receive into: a reader takes some when there is something to read and gives them back before it waits, so that idle sockets hold none.
// One value serves any number of readers. The zero value is ready.
//
// This is no sync.Pool: that forgets its contents with every second garbage collection, and these are large.
type Buffers struct {
	mu   sync.Mutex
	free []*batch
	kept int // of free at most; 0 before the first use
}

func (b *Buffers) get() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free); n > 0 {
		got := b.free[n-1]
		b.free = b.free[:n-1]
		return got
	}
	b.kept = 2 * runtime.GOMAXPROCS(0) // those who read at a time, and some that were interrupted
	return newBatch()
}

func (b *Buffers) put(used *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < b.kept {
		b.free = append(b.free, used)
	}
}

// ReaderOptions set up a [Reader].
type ReaderOptions struct {
	// Buffers are shared with other readers. Default some of its own.
	Buffers *Buffers
	// NoCoalescing leaves the socket without UDP_GRO, with which the kernel hands over packets of one sender in one piece. It is off anyway where the kernel does not know it.
	NoCoalescing bool
	// Now is the clock, read once a batch. Default time.Now.
	Now func() time.Time
}

// Reader reads a socket in batches. Between [NewReader] and Close the socket must have no other reader: its datagrams may be several in one.
type Reader struct {
	conn    *net.UDPConn
	raw     syscall.RawConn
	buffers *Buffers
	now     func() time.Time
	handle  func(time.Time, []Packet) bool // of the Read under way
	sys     readerSys
}

// NewReader makes a reader of conn, which stays the caller's. It fails on a closed socket only.
func NewReader(conn *net.UDPConn, opts ReaderOptions) (*Reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if opts.Buffers == nil {
		opts.Buffers = &Buffers{}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	r := &Reader{conn: conn, raw: raw, buffers: opts.Buffers, now: opts.Now}
	if err := r.open(!opts.NoCoalescing); err != nil {
		return nil, err
	}
	return r, nil
}

// Read hands what comes to handle, a batch a call, in the order of arrival, until handle returns false (then the error is nil), the read deadline passes (os.ErrDeadlineExceeded), the
// socket is closed (net.ErrClosed) or it fails, after which Read may be called again. An error of the first or the last kind may come with packets still unread; a deadline that handle
// sets counts from its return on. handle must not wait for anybody who closes the socket: Close of the socket waits for it. One Read at a time.
func (r *Reader) Read(handle func(now time.Time, packets []Packet) bool) error {
	r.handle = handle
	err := r.read()
	r.handle = nil
	return err
}

// Close makes the socket an ordinary one again; it stays open. To be called after Read has returned. What has been received and not read is thrown away where datagrams in it may be several in one.
func (r *Reader) Close() {
	if r.restore() {
		var d Discarder
		d.DiscardRaw(r.raw, maxBacklog)
	}
}

// maxBacklog bounds what Close throws away: more than a receive buffer of the largest size holds.
const maxBacklog = 1 << 16

// Status is what the kernel says of a socket.
type Status struct {
	ReadBuffer int    // bytes that its receive buffer may take, bookkeeping included; 0 when unknown
	Waiting    int    // of these in use now; 0 when unknown
	Drops      uint64 // datagrams dropped since the socket was made because the buffer was full or they were damaged, modulo 2^32; 0 when unknown
}
