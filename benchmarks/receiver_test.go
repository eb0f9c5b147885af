//go:build linux

package benchmarks

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/mpegps"
)

const (
	// cameraGOP and the two sizes make 2 Mb/s at 30 pictures a second.
	cameraGOP     = 60
	cameraKey     = 60000
	cameraPicture = 7460
	cameraPacket  = 1400
	cameraGap     = time.Second / 30
)

// receiversChild is the measured process with its input and output.
type receiversChild struct {
	child
	lines  *bufio.Scanner
	before float64 // resident memory before there was a receiver
}

func startReceivers(b *testing.B, mode string, n int) *receiversChild {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestReceiversChild$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", receiversEnv, mode, n), "GOGC=30") // as the server has it
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	c := &receiversChild{child: child{pid: cmd.Process.Pid, in: in}, lines: bufio.NewScanner(out)}
	b.Cleanup(func() { _ = in.Close(); _, _ = io.Copy(io.Discard, out); _ = cmd.Wait() })
	c.line(b, "ready")
	c.before = c.resident(b)
	c.say(b, "go")
	for range n {
		c.addrs = append(c.addrs, c.line(b, "at "))
	}
	return c
}

func (c *receiversChild) say(b *testing.B, text string) {
	b.Helper()
	_, err := fmt.Fprintln(c.in, text)
	require.NoError(b, err)
}

// line waits for a line with a prefix, and returns the rest of it.
func (c *receiversChild) line(b *testing.B, prefix string) string {
	b.Helper()
	for c.lines.Scan() {
		if rest, ok := strings.CutPrefix(c.lines.Text(), prefix); ok {
			return rest
		}
		b.Log(c.lines.Text())
	}
	b.Fatal("the measured process has ended")
	return ""
}

func (c *receiversChild) count(b *testing.B, ask string) (r received) {
	b.Helper()
	c.say(b, ask)
	require.NoError(b, json.Unmarshal([]byte(c.line(b, "is ")), &r))
	return r
}

// settled asks until all that was sent has come in, or nothing more does.
func (c *receiversChild) settled(b *testing.B, sent uint64) (r received) {
	b.Helper()
	for last := uint64(0); ; last = r.Packets {
		if r = c.count(b, "count"); r.Packets == sent || r.Packets == last {
			return r
		}
		timer := time.NewTimer(200 * time.Millisecond)
		<-timer.C
	}
}

// clip makes the pictures of an endless program stream. All cameras show the same one, at different places.
type clip struct {
	mux   *mpegps.Muxer
	made  map[int][][]byte
	next  int
	seq   uint16
	noise []byte
}

func newClip(b *testing.B) *clip {
	track, err := media.NewTrack(&format.H264{PayloadTyp: 96, PacketizationMode: 1})
	require.NoError(b, err)
	c := &clip{mux: mpegps.NewMuxer(mpegps.MuxerOptions{Tracks: []*media.Track{track}}), made: map[int][][]byte{}}
	c.noise = make([]byte, cameraKey)
	for i := range c.noise {
		c.noise[i] = byte(i*7+i>>8) | 1
	}
	return c
}

// picture returns the packets of a picture. Those of two groups of pictures back are forgotten.
func (c *clip) picture(n int) [][]byte {
	for ; c.next <= n; c.next++ {
		var unit []byte
		key := c.next%cameraGOP == 0
		if key {
			unit = append(unit, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0xa0, 0x5b, 0xb2, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x64, 0x1e, 0x30, 0x65, 0xc0)
			unit = append(unit, 0, 0, 0, 1, 0x68, 0xcb, 0x83, 0xcb, 0x20, 0, 0, 0, 1, 0x65, 0x88)
			unit = append(unit, c.noise...)
		} else {
			unit = append(append(unit, 0, 0, 0, 1, 0x41, 0x9a), c.noise[:cameraPicture]...)
		}
		pts := media.Ticks(90000 + 3000*c.next)
		ps := c.mux.Append(nil, 0, &media.Frame{Codec: media.CodecH264, PTS: pts, DTS: pts, Key: key, Payload: unit})
		var packets [][]byte
		for len(ps) > 0 {
			part := ps[:min(len(ps), cameraPacket-12)]
			ps = ps[len(part):]
			p := make([]byte, 12, 12+len(part))
			p[0], p[1], p[11] = 0x80, 96, 1
			if len(ps) == 0 {
				p[1] |= 0x80
			}
			binary.BigEndian.PutUint16(p[2:], c.seq)
			binary.BigEndian.PutUint32(p[4:], uint32(pts)) //nolint:gosec // wraps
			c.seq++
			packets = append(packets, append(p, part...))
		}
		c.made[c.next] = packets
		delete(c.made, c.next-3*cameraGOP)
	}
	return c.made[n]
}

// cameras send to all receivers in real time.
type cameras struct {
	clip    *clip
	conns   []net.Conn
	tick    int
	start   time.Time
	packets uint64
	bytes   uint64
	late    time.Duration // the latest
}

func newCameras(b *testing.B, addrs []string) *cameras {
	s := &cameras{clip: newClip(b), start: time.Now()}
	for _, at := range addrs {
		conn, err := net.Dial("udp", at)
		require.NoError(b, err)
		b.Cleanup(func() { _ = conn.Close() })
		s.conns = append(s.conns, conn)
	}
	return s
}

// run sends so many pictures of each camera. They are spread over the gap between two, and their key pictures over a group.
func (s *cameras) run(pictures int) {
	n := len(s.conns)
	for range pictures {
		for i, conn := range s.conns {
			due := s.start.Add(time.Duration(s.tick)*cameraGap + time.Duration(i)*cameraGap/time.Duration(n))
			if wait := time.Until(due); wait > 0 {
				timer := time.NewTimer(wait)
				<-timer.C
			} else {
				s.late = max(s.late, -wait)
			}
			for _, p := range s.clip.picture(s.tick + i*cameraGOP/n) {
				if k, err := conn.Write(p); err == nil {
					s.packets++
					s.bytes += uint64(k)
				}
			}
		}
		s.tick++
	}
}

// BenchmarkReceiver has n cameras of 2 Mb/s of program stream over UDP. An operation is one picture of each.
func BenchmarkReceiver(b *testing.B) {
	for _, n := range []int{1, 50, 200} {
		for _, mode := range []string{"loop", "parsed", "unwatched"} {
			b.Run(fmt.Sprintf("receivers=%d/work=%s", n, mode), func(b *testing.B) {
				c := startReceivers(b, mode, n)
				s := newCameras(b, c.addrs)
				s.run(2 * cameraGOP) // all have begun, and had a key picture
				was := c.settled(b, s.packets)
				cpu, at, sent, bytes := c.cpu(b), time.Now(), s.packets, s.bytes
				s.late, s.start = 0, at.Add(-time.Duration(s.tick)*cameraGap)
				for b.Loop() {
					s.run(1)
				}
				is := c.settled(b, s.packets)
				used, took := c.cpu(b)-cpu, time.Since(at)
				resident := c.resident(b)
				heap := c.count(b, "tidy").HeapBytes
				b.ReportMetric(0, "ns/op") // real time, says nothing
				b.ReportMetric(used.Seconds()/(float64(s.bytes-bytes)/1e9), "cpu-s/GB")
				b.ReportMetric(float64(s.bytes-bytes)*8/1e6/took.Seconds(), "Mb/s")
				b.ReportMetric(float64(int64(s.packets-sent)-int64(is.Packets-was.Packets)), "lost")
				b.ReportMetric(float64(is.Lost-was.Lost+is.Drops-was.Drops), "lost-as-counted")
				b.ReportMetric(float64(is.Frames-was.Frames)/float64(b.N*n), "frames/picture")
				b.ReportMetric((resident-c.before)/1e3/float64(n), "kB/receiver")
				b.ReportMetric(float64(heap)/1e3/float64(n), "heap-kB/receiver")
				b.ReportMetric(float64(is.Goroutines), "goroutines")
				b.ReportMetric(s.late.Seconds()*1e3, "late-ms")
			})
		}
	}
}

// BenchmarkReceiverIdle has n receivers open that hear nothing. An operation is nothing.
func BenchmarkReceiverIdle(b *testing.B) {
	for _, n := range []int{200, 2000} {
		b.Run(fmt.Sprintf("receivers=%d", n), func(b *testing.B) {
			c := startReceivers(b, "parsed", n)
			is := c.count(b, "tidy")
			cpu, at := c.cpu(b), time.Now()
			for b.Loop() {
				timer := time.NewTimer(100 * time.Millisecond)
				<-timer.C
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(100*(c.cpu(b)-cpu).Seconds()/time.Since(at).Seconds(), "%cpu")
			b.ReportMetric((c.resident(b)-c.before)/1e3/float64(n), "kB/receiver")
			b.ReportMetric(float64(is.HeapBytes)/1e3/float64(n), "heap-kB/receiver")
			b.ReportMetric(float64(is.Goroutines), "goroutines")
		})
	}
}
