package udp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// BindBeside binds one port like [Bind] though ours, a socket of the caller's that is about to be closed, has the same port at an address that overlaps, such as a wildcard and one
// of its addresses. Until then the kernel gives packets to the narrower of the two. Nobody else can share the port, neither meanwhile nor later.
func BindBeside(addr netip.Addr, port uint16, ours *net.UDPConn) (*net.UDPConn, error) {
	raw, err := ours.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := shareAddress(raw, true); err != nil {
		return nil, err
	}
	defer func() { _ = shareAddress(raw, false) }() // it cannot fail on a socket that took it before, but for a closed one
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return shareAddress(raw, true) }}
	return withFallback("udp", addr, port, func(network string, local netip.AddrPort) (*net.UDPConn, error) {
		conn, err := config.ListenPacket(context.Background(), network, local.String())
		if err != nil {
			return nil, err
		}
		opened := conn.(*net.UDPConn)
		mine, err := opened.SyscallConn()
		if err == nil {
			err = shareAddress(mine, false)
		}
		if err != nil {
			_ = opened.Close()
			return nil, err
		}
		return opened, nil
	})
}

func shareAddress(raw syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, value) })
	return errors.Join(err, failed)
}
