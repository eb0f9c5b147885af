package benchmarks

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/hub"
	"berth/netio/fanout"
)

// viewersEnv makes the test binary the viewers' process, so that their work is not counted as the server's: "tcp ADDRESS N" or "udp N".
const viewersEnv = "BERTH_BENCH_VIEWERS"

// The synthetic stream: 30 pictures a second in groups of 60, about 2 Mb/s, and AAC of 128 kb/s in 21.3 ms packets.
const (
	pictureGap  = time.Second / 30
	soundGap    = time.Second * 1024 / 48000
	groupLength = 60
	packetBytes = 1400
	soundBytes  = 345
)

// TestFanoutViewers is no test: it is the viewers' process of the benchmarks below. It reads and throws away until its input is closed.
func TestFanoutViewers(t *testing.T) {
	args := strings.Fields(os.Getenv(viewersEnv))
	if len(args) < 2 {
		t.Skip("serves the fan-out benchmarks")
	}
	n, err := strconv.Atoi(args[len(args)-1])
	require.NoError(t, err)
	for range n {
		var conn net.Conn
		if args[0] == "tcp" {
			conn, err = net.Dial("tcp", args[1])
		} else {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		}
		require.NoError(t, err)
		fmt.Fprintln(os.Stderr, "viewer", conn.LocalAddr())
		go func() {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 64<<10))
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startViewers runs the viewers' process and returns their addresses.
func startViewers(b *testing.B, args string, n int) []netip.AddrPort {
	cmd := exec.Command(os.Args[0], "-test.run=^TestFanoutViewers$")
	cmd.Env = append(os.Environ(), viewersEnv+"="+args+" "+strconv.Itoa(n))
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StderrPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	var addrs []netip.AddrPort
	for lines := bufio.NewScanner(out); len(addrs) < n && lines.Scan(); {
		if at, ok := strings.CutPrefix(lines.Text(), "viewer "); ok {
			addrs = append(addrs, netip.MustParseAddrPort(at))
		}
	}
	require.Len(b, addrs, n)
	return addrs
}

// play runs the stream in real time for b.N pictures: picture and sound are called when one is due.
func play(b *testing.B, picture func(n int), sound func()) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	until := func(at time.Duration) {
		timer.Reset(time.Until(start.Add(at)))
		<-timer.C
	}
	next := time.Duration(0)
	for i := range b.N {
		at := time.Duration(i) * pictureGap
		for ; next < at; next += soundGap {
			until(next)
			sound()
		}
		until(at)
		picture(i)
	}
}

// picturePackets is how many packets picture n has.
func picturePackets(n int) int {
	if n%groupLength == 0 {
		return 45
	}
	return 5
}

// measure runs one delivery and reports the server's CPU time for what it delivered.
func measure(b *testing.B, run func(), delivered func() (bytes, writes uint64)) {
	b.ReportAllocs()
	before, cpu := time.Now(), cpuTime(b)
	run()
	used := cpuTime(b) - cpu
	bytes, writes := delivered()
	b.ReportMetric(used.Seconds()/(float64(bytes)/1e9), "cpu-s/GB")
	b.ReportMetric(float64(writes)/float64(b.N), "writes/picture")
	b.ReportMetric(float64(bytes)*8/1e6/time.Since(before).Seconds(), "Mb/s")
	b.ReportMetric(0, "ns/op") // real time, says nothing
}

// benchStream is the hub with its publisher.
type benchStream struct {
	hub        *hub.Hub
	w          *hub.Writer
	pkt, aac   []byte
	seq, audio uint16
	ts, at     uint32
}

func newBenchStream(b *testing.B, opts hub.Options) *benchStream {
	video, err := media.NewTrack(&format.H264{PayloadTyp: 96, PacketizationMode: 1})
	require.NoError(b, err)
	audio, err := media.NewTrack(&format.MPEG4Audio{PayloadTyp: 97, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}})
	require.NoError(b, err)
	s := &benchStream{hub: hub.New([]*media.Track{video, audio}, opts), pkt: make([]byte, packetBytes), aac: make([]byte, soundBytes)}
	s.w, _, err = s.hub.Attach(s.hub.Tracks())
	require.NoError(b, err)
	b.Cleanup(s.hub.Close)
	return s
}

func (s *benchStream) picture(n int) {
	now, count := time.Now(), picturePackets(n)
	for i := range count {
		p := s.pkt
		p[0], p[1], p[12], p[13], p[14] = 0x80, 96, 0x5c, 0x01, 0x80
		if count > 5 {
			p[12], p[13] = 0x7c, 0x05
		}
		if i == 0 {
			p[13] |= 0x80
		}
		if i == count-1 {
			p[1] |= 0x80
		}
		binary.BigEndian.PutUint16(p[2:], s.seq)
		binary.BigEndian.PutUint32(p[4:], s.ts)
		s.seq++
		_ = s.w.WriteRTP(0, now, p)
	}
	s.ts += 3000
}

func (s *benchStream) sound() {
	p := s.aac
	p[0], p[1] = 0x80, 97|0x80
	binary.BigEndian.PutUint16(p[2:], s.audio)
	binary.BigEndian.PutUint32(p[4:], s.at)
	s.audio++
	s.at += 1024
	_ = s.w.WriteRTP(1, time.Now(), p)
}

func accept(b *testing.B, n int) []net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	startViewers(b, "tcp "+l.Addr().String(), n)
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i], err = l.Accept()
		require.NoError(b, err)
		b.Cleanup(func() { conns[i].Close() })
	}
	return conns
}

// BenchmarkFanoutTCP delivers one stream to viewers over TCP in real time: the hub and the fan-out, with several times for sound to wait for the next picture, and the bare loops that write the
// same bytes: once for each picture and each sound packet, and with the sound in the picture's write.
func BenchmarkFanoutTCP(b *testing.B) {
	for _, viewers := range []int{1, 100, 500} {
		for _, merge := range []time.Duration{-1, 10 * time.Millisecond, 20 * time.Millisecond, 35 * time.Millisecond} {
			b.Run(fmt.Sprintf("berth/merge=%s/viewers=%d", max(merge, 0), viewers), func(b *testing.B) {
				conns := accept(b, viewers)
				s := newBenchStream(b, hub.Options{MergeTime: merge})
				p := fanout.New(fanout.Options{})
				defer p.Close()
				sinks := make([]*fanout.TCPSink, viewers)
				for i, c := range conns {
					sinks[i] = p.NewTCPSink(c, fanout.SinkOptions{})
					require.NoError(b, sinks[i].Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
				}
				b.ResetTimer()
				measure(b, func() { play(b, s.picture, s.sound) }, func() (bytes, writes uint64) {
					var jumps uint64
					for _, s := range sinks {
						st := s.Stats()
						bytes, writes, jumps = bytes+st.Bytes, writes+st.Writes, jumps+st.Viewer.Jumps
					}
					b.ReportMetric(float64(jumps), "jumps")
					return bytes, writes
				})
			})
		}
		for _, merged := range []bool{false, true} {
			b.Run(fmt.Sprintf("baseline=loop/merged=%t/viewers=%d", merged, viewers), func(b *testing.B) {
				conns := accept(b, viewers)
				var bytes, writes uint64
				var pending []byte
				buf := make([]byte, 64<<10)
				write := func(data []byte) {
					for _, c := range conns {
						n, err := c.Write(data)
						if err != nil {
							b.Fatal(err)
						}
						bytes += uint64(n)
						writes++
					}
				}
				b.ResetTimer()
				measure(b, func() {
					play(b, func(n int) {
						pending = append(pending, buf[:picturePackets(n)*(packetBytes+4)]...)
						write(pending)
						pending = pending[:0]
					}, func() {
						pending = append(pending, buf[:soundBytes+4]...)
						if !merged {
							write(pending)
							pending = pending[:0]
						}
					})
				}, func() (uint64, uint64) { return bytes, writes })
			})
		}
	}
}

// BenchmarkFanoutUDP delivers one stream to UDP viewers from its shared pairs in real time, with and without segmentation by the kernel. The bare loops are in fanout_udp_test.go.
func BenchmarkFanoutUDP(b *testing.B) {
	for _, viewers := range []int{1, 200} {
		for _, gso := range []bool{true, false} {
			b.Run(fmt.Sprintf("berth/gso=%t/viewers=%d", gso, viewers), func(b *testing.B) {
				addrs := startViewers(b, "udp", 2*viewers)
				s := newBenchStream(b, hub.Options{})
				p := fanout.New(fanout.Options{DisableGSO: !gso})
				video, audio := benchPair(b), benchPair(b)
				defer p.Close()
				sinks := make([]*fanout.UDPSink, viewers)
				for i := range sinks {
					sinks[i] = p.NewUDPSink([]fanout.UDPTrack{{Pair: video, RTP: addrs[2*i]}, {Pair: audio, RTP: addrs[2*i+1]}}, fanout.SinkOptions{})
					require.NoError(b, sinks[i].Play(s.hub.NewReader(hub.ReaderOptions{})))
				}
				b.ResetTimer()
				measure(b, func() { play(b, s.picture, s.sound) }, func() (bytes, writes uint64) {
					for _, s := range sinks {
						st := s.Stats()
						bytes, writes = bytes+st.Bytes, writes+st.Writes
					}
					return bytes, writes
				})
			})
		}
	}
}

func benchPair(b *testing.B) *fanout.UDPPair {
	listen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(b, err)
		b.Cleanup(func() { c.Close() })
		return c
	}
	return &fanout.UDPPair{RTP: listen(), RTCP: listen()}
}
