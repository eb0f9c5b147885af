package supervisor

import (
	"errors"
	"net"
	"net/netip"

	"berth/config"
	"berth/netio/tcp"
	"berth/netio/udp"
)

// door names one of the process's listening sockets.
type door string

const (
	doorHTTP  door = "http"
	doorHTTPS door = "https"
	doorRTSP  door = "rtsp"
	doorRTSPS door = "rtsps"
	doorRTP   door = "rtp" // the port that devices share, over TCP and UDP
)

// doors are the listening sockets of one configuration. The value is never changed after it was built; a full restart derives the next one with [doors.next].
type doors map[door]opening

type opening struct {
	want   netip.AddrPort // as configured; port 0 means that the kernel chose
	socket *tcp.Listener
	udp    *net.UDPConn // of doorRTP, nil of the others
}

// open opens what a door consists of, all or nothing. The sockets of d may have the same port at an address that overlaps.
func (d doors) open(name door, addr netip.AddrPort) (opening, error) {
	socket, err := tcp.Listen(addr, d.sockets()...)
	if err != nil {
		return opening{}, err
	}
	o := opening{want: addr, socket: socket}
	if name == doorRTP {
		o.udp, err = udp.Bind(addr.Addr(), addr.Port(), udp.Options{})
		if have := d[doorRTP].udp; errors.Is(err, udp.ErrInUse) && have != nil && d[doorRTP].want.Port() == addr.Port() {
			o.udp, err = udp.BindBeside(addr.Addr(), addr.Port(), have)
		}
		if err != nil {
			_ = socket.Close()
			return opening{}, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: err}
		}
	}
	return o, nil
}

func (o opening) close() {
	_ = o.socket.Close()
	if o.udp != nil {
		_ = o.udp.Close()
	}
}

// wanted returns the address of each door that cfg opens.
func wanted(cfg *config.Config) map[door]netip.AddrPort {
	out := map[door]netip.AddrPort{}
	add := func(d door, port uint16) {
		if port != 0 {
			out[d] = netip.AddrPortFrom(cfg.General.ListenIP, port)
		}
	}
	add(doorHTTP, cfg.HTTP.Port)
	add(doorRTSP, cfg.RTSP.Port)
	add(doorRTP, cfg.RTPProxy.Port)
	if cfg.TLS.CertFile != "" {
		add(doorHTTPS, cfg.HTTP.SSLPort)
		add(doorRTSPS, cfg.RTSP.SSLPort)
	}
	return out
}

// next opens what cfg needs and d does not have yet, and keeps the rest. On error everything that it opened is closed again and d goes on as it was.
func (d doors) next(cfg *config.Config) (doors, error) {
	out, opened := doors{}, doors{}
	var errs []error
	for name, addr := range wanted(cfg) {
		if have, ok := d[name]; ok && have.want == addr {
			out[name] = have
			continue
		}
		o, err := d.open(name, addr)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out[name], opened[name] = o, o
	}
	if len(errs) > 0 {
		opened.close()
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// sockets returns the listeners of all doors.
func (d doors) sockets() []*tcp.Listener {
	var out []*tcp.Listener
	for _, have := range d {
		out = append(out, have.socket)
	}
	return out
}

// closeExcept closes the sockets of d that keep does not have.
func (d doors) closeExcept(keep doors) {
	for name, have := range d {
		if keep[name].socket != have.socket {
			have.close()
		}
	}
}

func (d doors) close() { d.closeExcept(nil) }

// addr returns the address that a door listens on, zero when it is shut.
func (d doors) addr(name door) netip.AddrPort {
	if have, ok := d[name]; ok {
		return have.socket.Addr()
	}
	return netip.AddrPort{}
}

// ports returns the ports of all doors, for the pool to leave out.
func (d doors) ports() []uint16 {
	var out []uint16
	for name := range d {
		out = append(out, d.addr(name).Port())
	}
	return out
}

// same reports whether both have the same socket behind a door.
func (d doors) same(other doors, name door) bool { return d[name].socket == other[name].socket }
