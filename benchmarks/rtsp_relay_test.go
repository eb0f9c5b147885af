//go:build linux

package benchmarks

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// relayChild is the bare loop beside the server: it takes interleaved frames from each source and writes them to the source's viewers as cheaply as
// anybody could: over TCP one blocking write a picture and viewer, with the sound before it; over UDP one segmented send a picture and viewer, and one for each sound
// packet. It knows nothing of RTSP, of viewers that come or go, or of slow ones. TCP viewers connect where the source did; UDP viewers come as lines of input.
func relayChild(t *testing.T, args []string) {
	sources, err := strconv.Atoi(args[1])
	require.NoError(t, err)
	viewers, err := strconv.Atoi(args[2])
	require.NoError(t, err)
	var work sync.WaitGroup
	lines := bufio.NewScanner(os.Stdin)
	for range sources {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		fmt.Println("at", l.Addr())
		r := &relay{out: make([]func([]byte, bool), 0, viewers)}
		work.Go(func() {
			defer l.Close()
			conn, err := l.Accept()
			if err != nil {
				return
			}
			for range viewers {
				if args[0] == "tcp" {
					v, err := l.Accept()
					if err != nil {
						return
					}
					r.addTCP(v.(*net.TCPConn))
				} else if lines.Scan() {
					r.addUDP(lines.Text())
				}
			}
			if args[0] == "udp" {
				r.runUDP(conn)
			} else {
				r.runTCP(conn)
			}
		})
	}
	work.Wait()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

type relay struct {
	out    []func(data []byte, sound bool)
	socket [2]int
}

// addTCP takes the socket away from the runtime and makes it a blocking one.
func (r *relay) addTCP(v *net.TCPConn) {
	raw, err := v.SyscallConn()
	if err != nil {
		return
	}
	fd := -1
	if raw.Control(func(own uintptr) { fd, err = unix.Dup(int(own)) }) != nil || err != nil || unix.SetNonblock(fd, false) != nil {
		return
	}
	_ = v.Close()
	r.out = append(r.out, func(data []byte, _ bool) {
		for len(data) > 0 {
			n, err := unix.Write(fd, data)
			if err != nil && err != unix.EINTR {
				return
			}
			data = data[max(n, 0):]
		}
	})
}

// addUDP adds a viewer with its two addresses.
func (r *relay) addUDP(line string) {
	if len(r.out) == 0 {
		for t := range r.socket {
			r.socket[t], _ = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		}
	}
	var to [2]unix.Sockaddr
	for t, s := range strings.Fields(line) {
		at := netip.MustParseAddrPort(s)
		to[t] = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	control := segmentControl()
	r.out = append(r.out, func(data []byte, sound bool) {
		if sound {
			_, _ = unix.SendmsgN(r.socket[1], data, nil, to[1], 0)
			return
		}
		for len(data) > 0 {
			part := data[:min(len(data), 46*packetBytes)]
			_, _ = unix.SendmsgN(r.socket[0], part, control, to[0], 0)
			data = data[len(part):]
		}
	})
}

// runTCP collects frames up to the end of each picture.
func (r *relay) runTCP(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 64<<10)
	var pending []byte
	for {
		frame, err := nextFrame(in)
		if err != nil {
			return
		}
		pending = append(pending, frame...)
		if frame[1] == 0 && frame[5]&0x80 != 0 {
			for _, out := range r.out {
				out(pending, false)
			}
			pending = pending[:0]
		}
	}
}

func (r *relay) runUDP(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 64<<10)
	var pending []byte
	for {
		frame, err := nextFrame(in)
		if err != nil {
			return
		}
		sound := frame[1] != 0
		if sound {
			for _, out := range r.out {
				out(frame[4:], true)
			}
			continue
		}
		pending = append(pending, frame[4:]...)
		if frame[5]&0x80 != 0 {
			for _, out := range r.out {
				out(pending, false)
			}
			pending = pending[:0]
		}
	}
}

// nextFrame returns an interleaved frame, valid until the next call.
func nextFrame(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(4)
	if err != nil {
		return nil, err
	}
	size := 4 + int(binary.BigEndian.Uint16(head[2:]))
	frame, err := in.Peek(size)
	if err != nil {
		return nil, err
	}
	_, err = in.Discard(size)
	return frame, err
}
