package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the devices of these tests are like.
const (
	devicePayload = 1300 // bytes in a packet
	psType        = 96
)

// rtpOut numbers packets.
type rtpOut struct {
	ssrc  uint32
	pt    uint8
	seq   uint16
	write func(packet []byte) error
}

// send cuts b into packets of one time.
func (o *rtpOut) send(time uint32, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), devicePayload)
		packet := make([]byte, 12, 12+n)
		packet[0], packet[1] = 0x80, o.pt
		binary.BigEndian.PutUint16(packet[2:], o.seq)
		binary.BigEndian.PutUint32(packet[4:], time)
		binary.BigEndian.PutUint32(packet[8:], o.ssrc)
		o.seq++
		if err := o.write(append(packet, b[:n]...)); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// packStart begins a pack of an MPEG program stream.
const packStart = "\x00\x00\x01\xba"

// eachPack hands on the packs of a program stream with their system clock, at 90 kHz.
func eachPack(r io.Reader, hand func(clock uint32, pack []byte) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 1<<20), 4<<20)
	in.Split(func(data []byte, last bool) (int, []byte, error) {
		if len(data) > 4 {
			if next := strings.Index(string(data[4:]), packStart); next >= 0 {
				return next + 4, data[:next+4], nil
			}
		}
		if last && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	for in.Scan() {
		pack := in.Bytes()
		if len(pack) < 14 || string(pack[:4]) != packStart {
			return fmt.Errorf("no pack: % x", pack[:min(len(pack), 16)])
		}
		if err := hand(packClock(pack), pack); err != nil {
			return err
		}
	}
	return in.Err()
}

// packClock is the low part of a pack's system_clock_reference_base, of MPEG-2 (ISO/IEC 13818-1 section 2.5.3.3) or MPEG-1.
func packClock(b []byte) uint32 {
	if b[4]>>6 == 1 {
		return uint32(b[4]>>3&7)<<30 | uint32(b[4]&3)<<28 | uint32(b[5])<<20 | uint32(b[6]>>3)<<15 | uint32(b[6]&3)<<13 | uint32(b[7])<<5 | uint32(b[8]>>3)
	}
	return uint32(b[4]>>1&7)<<30 | uint32(b[5])<<22 | uint32(b[6]>>1)<<15 | uint32(b[7])<<7 | uint32(b[8]>>1)
}

// pushPS has a program write a program stream to its standard output, in real time until the test ends, and sends that through conn as a device would.
func pushPS(t *testing.T, conn net.Conn, ssrc uint32, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	var said lockedBuffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	o := &rtpOut{ssrc: ssrc, pt: psType, write: packetWriter(conn)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := eachPack(out, o.send)
		_, _ = io.Copy(io.Discard, out)
		waited := cmd.Wait()
		if ctx.Err() == nil {
			fmt.Fprintf(&said, "device: %v, %v\n", err, waited)
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = conn.Close()
		<-done
		if t.Failed() {
			t.Logf("%s %s\n%s", name, strings.Join(args, " "), said.String())
		}
	})
}

// packetWriter writes packets: a datagram each, or with their length before them (RFC 4571). A UDP port that is not open yet, or not any more, is no error.
func packetWriter(conn net.Conn) func([]byte) error {
	if _, datagrams := conn.(*net.UDPConn); datagrams {
		return func(packet []byte) error {
			if _, err := conn.Write(packet); errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		}
	}
	return func(packet []byte) error {
		_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
		return err
	}
}

// openReceiver opens a receiver of app live and returns its port.
func (d *daemon) openReceiver(stream string, mode int, more ...string) string {
	d.t.Helper()
	args := append([]string{"port", "0", "app", "live", "stream_id", stream, "tcp_mode", strconv.Itoa(mode)}, more...)
	return strconv.Itoa(number(d.must("openRtpServer", args...), "port"))
}

// connectDevice opens a receiver and gives a device its way to it: over UDP (mode 0), to a listener of the server (1), or from one of its own (2).
func (d *daemon) connectDevice(stream string, mode int, more ...string) net.Conn {
	d.t.Helper()
	port := d.openReceiver(stream, mode, more...)
	if mode < 2 {
		conn, err := net.Dial([]string{"udp", "tcp"}[mode], net.JoinHostPort("127.0.0.1", port))
		require.NoError(d.t, err)
		return conn
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(d.t, err)
	defer l.Close() //nolint:errcheck // it has served
	_, own, err := net.SplitHostPort(l.Addr().String())
	require.NoError(d.t, err)
	d.must("connectRtpServer", "app", "live", "stream_id", stream, "dst_url", "127.0.0.1", "dst_port", own)
	conn, err := l.Accept()
	require.NoError(d.t, err)
	return conn
}
