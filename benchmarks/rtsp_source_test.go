//go:build linux

package benchmarks

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stampAt is where a packet of the synthetic stream holds the time at which it was sent, behind the RTP header and what a server looks at.
const stampAt = 20

// began is the zero of the stamps.
var began = time.Now()

const sourceSDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=bench\r\nt=0 0\r\n" +
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n" +
	"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n" +
	"a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\na=control:trackID=1\r\n"

// source publishes the synthetic stream in real time over one connection.
type source struct {
	conn       net.Conn
	buf        []byte
	seq, audio uint16
	ts, at     uint32

	end     chan struct{}
	done    sync.WaitGroup
	picture chan struct{} // one token: another picture has been sent
}

// dialSource connects to a relay, which speaks no RTSP and takes interleaved frames.
func dialSource(b *testing.B, addr string) *source {
	conn, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	return &source{conn: conn, end: make(chan struct{}), picture: make(chan struct{}, 1)}
}

// announce becomes the publisher of a stream over RTSP.
func announce(b *testing.B, addr, name string) *source {
	s := dialSource(b, addr)
	d := &dialogue{w: s.conn, r: bufio.NewReader(s.conn), url: "rtsp://" + addr + "/live/" + name}
	_, err := d.ask("ANNOUNCE", d.url, "", sourceSDP)
	require.NoError(b, err)
	for t := range 2 {
		_, err = d.ask("SETUP", fmt.Sprintf("%s/trackID=%d", d.url, t), fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;mode=record;interleaved=%d-%d\r\n", 2*t, 2*t+1), "")
		require.NoError(b, err)
	}
	_, err = d.ask("RECORD", d.url, "", "")
	require.NoError(b, err)
	return s
}

// start publishes until stop, beginning after delay.
func (s *source) start(b *testing.B, delay time.Duration) {
	s.done.Go(func() { s.run(delay) })
	b.Cleanup(s.stop)
}

func (s *source) stop() {
	select {
	case <-s.end:
	default:
		close(s.end)
	}
	_ = s.conn.Close()
	s.done.Wait()
}

func (s *source) run(delay time.Duration) {
	start := time.Now().Add(delay)
	timer := time.NewTimer(0)
	defer timer.Stop()
	sound := time.Duration(0)
	for i := 0; ; i++ {
		for at := time.Duration(i) * pictureGap; ; {
			due := min(sound, at)
			timer.Reset(time.Until(start.Add(due)))
			select {
			case <-s.end:
				return
			case <-timer.C:
			}
			if sound > at {
				break
			}
			if s.sendSound() != nil {
				return
			}
			sound += soundGap
		}
		if s.sendPicture(i) != nil {
			return
		}
		select {
		case s.picture <- struct{}{}:
		default:
		}
	}
}

// packet adds a frame of n bytes of RTP.
func (s *source) packet(channel, pt byte, seq uint16, ts uint32, n int) []byte {
	at := len(s.buf)
	s.buf = append(s.buf, '$', channel, byte(n>>8), byte(n))
	s.buf = append(s.buf, make([]byte, n)...)
	p := s.buf[at+4:]
	p[0], p[1], p[11] = 0x80, pt, channel+1
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[4:], ts)
	return p
}

func (s *source) sendPicture(n int) error {
	s.buf = s.buf[:0]
	count := picturePackets(n)
	var last []byte
	for i := range count {
		p := s.packet(0, 96, s.seq, s.ts, packetBytes)
		p[12], p[13] = 0x5c, 0x01
		if count > 5 {
			p[12], p[13] = 0x7c, 0x05
		}
		if i == 0 {
			p[13] |= 0x80
		}
		s.seq++
		last = p
	}
	last[1] |= 0x80
	last[13] |= 0x40
	s.ts += 3000
	return s.send(last)
}

func (s *source) sendSound() error {
	s.buf = s.buf[:0]
	size := soundBytes - 60 + int(s.audio)*37%121 // of changing sizes, as encoders make them: the kernel may only cut equal ones
	p := s.packet(2, 97|0x80, s.audio, s.at, size)
	binary.BigEndian.PutUint16(p[12:], 16)
	binary.BigEndian.PutUint16(p[14:], uint16(size-16)<<3) //nolint:gosec // small
	s.audio++
	s.at += 1024
	return s.send(p)
}

// send stamps a packet and sends all that has been added.
func (s *source) send(stamped []byte) error {
	binary.BigEndian.PutUint64(stamped[stampAt:], uint64(time.Since(began))) //nolint:gosec // positive
	_, err := s.conn.Write(s.buf)
	return err
}
