package hostcheck

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxFileBytes bounds what is read of one file; a table of 100,000 sockets is below it.
const maxFileBytes = 32 << 20

// System returns this machine.
func System() Host {
	h := Host{
		Addresses: localAddresses, Bind: bindProbe, OpenFiles: openFiles, Writable: writable, Getenv: os.Getenv,
		Interfaces: interfaces,
	}
	return platform(h)
}

// readBounded reads a file that is not of our making.
func readBounded(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, maxFileBytes))
}

func interfaces() ([]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.Name
	}
	return names, nil
}

func localAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, prefix.Addr())
		}
	}
	return out, nil
}

// bindProbe opens a socket as the pool would, "::" for both families, or IPv4 alone on a machine without IPv6.
func bindProbe(addr netip.Addr) error {
	network := "udp"
	if addr.Unmap().Is4() {
		network = "udp4"
	} else if !addr.IsUnspecified() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), 0)))
	if err != nil && addr == netip.IPv6Unspecified() && errors.Is(err, syscall.EAFNOSUPPORT) {
		conn, err = net.ListenUDP("udp4", nil)
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// openFiles returns the limit that the runtime gives a server: it raises the soft limit to the hard one when the process begins.
func openFiles() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return limit.Cur, nil
}

// writable makes a file in dir and removes it. Where dir is missing it makes nothing, and looks whether it could be made.
func writable(dir string) error {
	probe, err := os.CreateTemp(dir, ".berth-probe-")
	if err == nil {
		return errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return bare(err)
	}
	for parent := filepath.Dir(filepath.Clean(dir)); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s is not a directory", parent)
		case err == nil:
			if err := unix.Access(parent, unix.W_OK|unix.X_OK); err != nil {
				return fmt.Errorf("it is missing and cannot be made in %s: %w", parent, err)
			}
			return nil
		case !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent):
			return bare(err)
		}
	}
}

// bare leaves out the name of the probe file.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
