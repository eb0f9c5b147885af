package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// platform takes in what a sender sends, as a file of the payloads.
type platform struct {
	payload []byte
	packets int
	faults  []string
}

// take checks and keeps one packet.
func (p *platform) take(packet []byte, ssrc uint32, expected *uint16) {
	if len(packet) < 12 || packet[0] != 0x80 {
		p.faults = append(p.faults, fmt.Sprintf("no packet: % x", packet[:min(len(packet), 16)]))
		return
	}
	if got := binary.BigEndian.Uint32(packet[8:]); got != ssrc {
		p.faults = append(p.faults, fmt.Sprintf("SSRC %d", got))
	}
	seq := binary.BigEndian.Uint16(packet[2:])
	if p.packets > 0 && seq != *expected {
		p.faults = append(p.faults, fmt.Sprintf("packet %d after %d", seq, *expected-1))
	}
	*expected = seq + 1
	p.packets++
	p.payload = append(p.payload, packet[12:]...)
}

// receiveUDP and receiveTCP read for some seconds.
func receiveUDP(conn *net.UDPConn, ssrc uint32) (*platform, error) {
	p, expected, buf := &platform{}, uint16(0), make([]byte, 2048)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	for end := (time.Time{}); end.IsZero() || time.Now().Before(end); {
		n, _, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && p.packets > 0 {
			return p, nil
		}
		if err != nil {
			return p, err
		}
		if n < 12 || buf[1]&0x7f > 127 || buf[1] >= 200 && buf[1] <= 206 {
			continue // RTCP
		}
		if end.IsZero() {
			end = time.Now().Add(playSeconds * time.Second)
		}
		p.take(buf[:n], ssrc, &expected)
	}
	return p, nil
}

func receiveTCP(conn net.Conn, ssrc uint32) (*platform, error) {
	p, expected := &platform{}, uint16(0)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var length [2]byte
	for end := (time.Time{}); end.IsZero() || time.Now().Before(end); {
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return p, err
		}
		packet := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return p, err
		}
		if end.IsZero() {
			end = time.Now().Add(playSeconds * time.Second)
		}
		p.take(packet, ssrc, &expected)
	}
	return p, nil
}

// plays has ffprobe, ffmpeg and GStreamer read what came in.
func (p *platform) plays(dir string, c content, demuxer string) error {
	if len(p.faults) > 0 {
		return fmt.Errorf("%d packets, faults: %v", p.packets, p.faults)
	}
	file := filepath.Join(dir, "received")
	if err := os.WriteFile(file, p.payload, 0o600); err != nil {
		return err
	}
	out, err := runPeer("ffprobe", "-hide_banner", "-loglevel", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", file)
	if err != nil {
		return err
	}
	names := strings.Fields(out)
	for _, want := range []string{c.video, c.audio} {
		if want != "" && !contains(names, want) {
			return fmt.Errorf("ffprobe finds %v", names)
		}
	}
	out, err = runPeer("ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", "-i", file, "-vf", "blackdetect=d=0.2", "-af", "silencedetect=n=-40dB:d=0.2", "-f", "null", "-")
	if err != nil {
		return err
	}
	if err := checkSkew(c, out); err != nil {
		return err
	}
	line := "-q filesrc location=" + file + " ! " + demuxer + " name=d d. ! queue ! h264parse ! avdec_h264 ! fakesink d. ! queue ! aacparse ! avdec_aac ! fakesink"
	out, err = runPeer("gst-launch-1.0", strings.Fields(line)...)
	if err == nil && (strings.Contains(out, "ERROR") || strings.Contains(out, "WARNING")) {
		err = fmt.Errorf("GStreamer complains:\n%s", out)
	}
	return err
}

func contains(list []string, what string) bool {
	for _, s := range list {
		if s == what {
			return true
		}
	}
	return false
}

// What berth sends is read by programs that are not ours, in every form with a container and over every way.
func TestInteropGB28181Sends(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe", "gst-launch-1.0")
	d := newInteropDaemon(t, "127.0.0.1")
	d.start(t)
	publish(t, usual, "tcp", d.url("cam"))
	d.waitFlows("cam", 2)
	source := []string{"vhost", "__defaultVhost__", "app", "live", "stream", "cam"}
	var steps []step
	for i, form := range []struct {
		kind, demuxer string
	}{{"1", "mpegpsdemux"}, {"2", "tsdemux"}} {
		ssrc := uint32(100 * (i + 1))
		to := func(ssrc uint32, more ...string) []string {
			return append(append(append([]string(nil), source...), "ssrc", fmt.Sprint(ssrc), "type", form.kind), more...)
		}
		steps = append(
			steps,
			step{"UDP, type " + form.kind, func() error {
				conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				if err != nil {
					return err
				}
				defer conn.Close() //nolint:errcheck // only read
				_ = conn.SetReadBuffer(4 << 20)
				if err := d.ok("startSendRtp", to(ssrc, "dst_url", "127.0.0.1", "dst_port", portOf(conn.LocalAddr()), "is_udp", "1")...); err != nil {
					return err
				}
				p, err := receiveUDP(conn, ssrc)
				return errors.Join(err, p.plays(t.TempDir(), usual, form.demuxer))
			}},
			step{"TCP, type " + form.kind, func() error {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				defer l.Close() //nolint:errcheck // only read
				if err := d.ok("startSendRtp", to(ssrc+1, "dst_url", "127.0.0.1", "dst_port", portOf(l.Addr()), "is_udp", "0")...); err != nil {
					return err
				}
				conn, err := l.Accept()
				if err != nil {
					return err
				}
				defer conn.Close() //nolint:errcheck // only read
				p, err := receiveTCP(conn, ssrc+1)
				return errors.Join(err, p.plays(t.TempDir(), usual, form.demuxer))
			}},
			step{"passive TCP, type " + form.kind, func() error {
				r, err := d.api("startSendRtpPassive", to(ssrc+2)...)
				if err != nil || r.code() != 0 {
					return fmt.Errorf("%s: %w", r.text(), err)
				}
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", number(r, "local_port")))
				if err != nil {
					return err
				}
				defer conn.Close() //nolint:errcheck // only read
				p, err := receiveTCP(conn, ssrc+2)
				return errors.Join(err, p.plays(t.TempDir(), usual, form.demuxer))
			}},
		)
	}
	together(t, steps...)
	d.eventually("no sender is left whose peer is gone, but those over UDP", func() bool {
		r, err := d.api("listRtpSender", source...)
		if err != nil {
			return false
		}
		list, _ := r["data"].([]any)
		return len(list) == 2
	})
	d.must("stopSendRtp", source...)
	r, err := d.api("stopSendRtp", source...)
	require.NoError(t, err)
	require.Equal(t, -1, r.code(), r.text())
}

// ok makes a call that has to succeed, from any goroutine.
func (d *daemon) ok(method string, arguments ...string) error {
	r, err := d.api(method, arguments...)
	if err == nil && r.code() != 0 {
		err = fmt.Errorf("%s: %s", method, r.text())
	}
	return err
}

func portOf(a net.Addr) string {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return port
}
