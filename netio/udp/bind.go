package udp

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Options of a bind. The zero value is the system's own choice.
type Options struct {
	// ReadBuffer is the receive buffer of each UDP socket in bytes, which the kernel may cap (net.core.rmem_max); 0 leaves the system's default.
	ReadBuffer int
}

// errPort is the cause when the port cannot begin a pair.
var errPort = errors.New("the port of a pair must be even and not 0")

// errMulticast is the cause when the address is a group's.
var errMulticast = errors.New("the address is a multicast group")

// BindPair binds the even port and the one above it, both or none. The unspecified IPv6 address serves IPv4 too, and stands for the unspecified IPv4 address on a system
// without IPv6. The error is a [*BindError].
func BindPair(addr netip.Addr, port uint16, opts Options) (rtp, rtcp *net.UDPConn, err error) {
	if port == 0 || port%2 != 0 {
		return nil, nil, &BindError{"udp", netip.AddrPortFrom(addr, port), ErrAddress, errPort}
	}
	if rtp, err = bind(addr, port, opts); err != nil {
		return nil, nil, err
	}
	if rtcp, err = bind(addr, port+1, opts); err != nil {
		_ = rtp.Close()
		return nil, nil, err
	}
	return rtp, rtcp, nil
}

// Bind binds one port that is no part of a pair: a socket that outlives the pool, or a port outside its range. Port 0 lets the kernel choose. Addresses and errors are as with [BindPair].
func Bind(addr netip.Addr, port uint16, opts Options) (*net.UDPConn, error) {
	return bind(addr, port, opts)
}

// ListenTCP binds a TCP listener; addresses and errors are as with [BindPair].
func ListenTCP(addr netip.Addr, port uint16) (*net.TCPListener, error) {
	return withFallback("tcp", addr, port, func(network string, local netip.AddrPort) (*net.TCPListener, error) {
		return net.ListenTCP(network, net.TCPAddrFromAddrPort(local))
	})
}

func bind(addr netip.Addr, port uint16, opts Options) (*net.UDPConn, error) {
	if addr.IsMulticast() {
		// Package net would bind it with SO_REUSEADDR.
		return nil, &BindError{"udp", netip.AddrPortFrom(addr, port), ErrAddress, errMulticast}
	}
	conn, err := withFallback("udp", addr, port, func(network string, local netip.AddrPort) (*net.UDPConn, error) {
		return net.ListenUDP(network, net.UDPAddrFromAddrPort(local))
	})
	if err != nil {
		return nil, err
	}
	if opts.ReadBuffer > 0 {
		if err := conn.SetReadBuffer(opts.ReadBuffer); err != nil {
			_ = conn.Close()
			return nil, &BindError{"udp", netip.AddrPortFrom(addr, port), family(err), cause(err)}
		}
	}
	return conn, nil
}

// withFallback picks the network for the address, and takes IPv4 when "::" was wanted on a system that has no IPv6.
func withFallback[C any](network string, addr netip.Addr, port uint16, open func(string, netip.AddrPort) (C, error)) (C, error) {
	local := netip.AddrPortFrom(addr.Unmap(), port)
	of := network
	switch {
	case !addr.IsValid():
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	case addr.Unmap().Is4():
		of = network + "4" // "udp" would bind 0.0.0.0 for both families
	case addr != netip.IPv6Unspecified():
		of = network + "6"
	}
	conn, err := open(of, local)
	if err != nil && local.Addr() == netip.IPv6Unspecified() && errors.Is(err, syscall.EAFNOSUPPORT) {
		conn, err = open(network+"4", netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
	if err != nil {
		var none C
		return none, &BindError{network, local, family(err), cause(err)}
	}
	return conn, nil
}
