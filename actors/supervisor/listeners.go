package supervisor

import (
	"errors"
	"net/netip"

	"berth/config"
	"berth/netio/tcp"
)

// door names one of the process's listening sockets.
type door string

const (
	doorHTTP  door = "http"
	doorHTTPS door = "https"
	doorRTSP  door = "rtsp"
	doorRTSPS door = "rtsps"
)

// doors are the listening sockets of one configuration. The value is never changed after it was built; a full restart derives the next one with [doors.next].
type doors map[door]opening

type opening struct {
	want   netip.AddrPort // as configured; port 0 means that the kernel chose
	socket *tcp.Listener
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
		socket, err := tcp.Listen(addr, d.sockets()...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out[name] = opening{want: addr, socket: socket}
		opened[name] = out[name]
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
			_ = have.socket.Close()
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

// ports returns the TCP ports of all doors, for the pool to leave out.
func (d doors) ports() []uint16 {
	var out []uint16
	for name := range d {
		out = append(out, d.addr(name).Port())
	}
	return out
}

// same reports whether both have the same socket behind a door.
func (d doors) same(other doors, name door) bool { return d[name].socket == other[name].socket }
