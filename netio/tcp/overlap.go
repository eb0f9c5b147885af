package tcp

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// overlaps reports whether l listens on the port of addr, at an address that is another one and yet in its way: a wildcard and one of its addresses, or two wildcards.
func (l *Listener) overlaps(addr netip.AddrPort) bool {
	own := l.Addr()
	a, b := own.Addr().Unmap(), addr.Addr().Unmap()
	return own.Port() == addr.Port() && a != b && (a.IsUnspecified() || b.IsUnspecified())
}

// besides opens addr although the process itself listens on its port at addresses that overlap with it. The kernel allows that while all of them have SO_REUSEPORT; none keeps it, since
// nobody else is to listen there. What is left is that the kernel remembers it for the port: a program of the same user that sets the option too may join until the last of them is closed. The
// kernel gives a connection to the listener with the narrower address.
func besides(addr netip.AddrPort, ours []*Listener) (*Listener, error) {
	var marked []*Listener
	defer func() {
		for _, l := range marked {
			_ = l.sharePort(false) // it cannot fail on a socket that took it before, but for a closed one
		}
	}()
	for _, l := range ours {
		if err := l.sharePort(true); err != nil {
			return nil, err
		}
		marked = append(marked, l)
	}
	opened, err := openSocket(addr, func(_, _ string, raw syscall.RawConn) error { return setReusePort(raw, true) })
	if err == nil {
		marked = append(marked, opened)
	}
	return opened, err
}

func (l *Listener) sharePort(on bool) error {
	raw, err := l.socket.SyscallConn()
	if err != nil {
		return err
	}
	return setReusePort(raw, on)
}

func setReusePort(raw syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value) })
	return errors.Join(err, failed)
}
