//go:build linux

package benchmarks

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// scene is a measured process with its sources and players.
type scene struct {
	child   *child
	sources []*source
	players *players
	before  float64 // resident memory with the sources, before the players
}

// newServerScene runs a whole server with sources that have begun.
func newServerScene(b *testing.B, sources int) *scene {
	b.Helper()
	keepAwake(b)
	c := &scene{child: startChild(b, "server", 1), players: newPlayers(b)}
	c.players.addr = c.child.addrs[0]
	for i := range sources {
		c.sources = append(c.sources, announce(b, c.child.addrs[0], strconv.Itoa(i)))
		c.sources[i].start(b, time.Duration(i)*pictureGap/time.Duration(sources))
	}
	c.wait(60)
	c.before = c.child.resident(b)
	return c
}

// newRelayScene runs the bare loop with the same sources and its viewers.
func newRelayScene(b *testing.B, transport string, sources, viewers int) *scene {
	b.Helper()
	keepAwake(b)
	c := &scene{child: startChild(b, fmt.Sprintf("relay %s %d %d", transport, sources, viewers), sources), players: newPlayers(b)}
	for i, addr := range c.child.addrs {
		c.sources = append(c.sources, dialSource(b, addr))
		for range viewers {
			if transport == "tcp" {
				require.NoError(b, c.players.connect(addr))
			} else {
				require.NoError(b, c.players.listen(c.child.in))
			}
		}
		c.sources[i].start(b, time.Duration(i)*pictureGap/time.Duration(sources))
	}
	c.before = c.child.resident(b)
	return c
}

// join adds players of a stream, a few at a time.
func (c *scene) join(b *testing.B, stream string, n int, udp bool) {
	b.Helper()
	var work sync.WaitGroup
	errs := make(chan error, n)
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	for range min(n, 8) {
		work.Go(func() {
			for range next {
				if err := c.players.join(stream, udp, false); err != nil {
					errs <- err
				}
			}
		})
	}
	work.Wait()
	close(errs)
	require.NoError(b, <-errs)
}

// wait lets pictures of the first source pass.
func (c *scene) wait(pictures int) {
	for range pictures {
		<-c.sources[0].picture
	}
}

// measure runs b.N pictures and reports what the process spent on them. An operation is one picture of the first source.
func (c *scene) measure(b *testing.B) figures {
	b.Helper()
	c.players.take()
	cpu, from := c.child.cpu(b), time.Now()
	for b.Loop() {
		c.wait(1)
	}
	f, used, took := c.players.take(), c.child.cpu(b)-cpu, time.Since(from)
	b.ReportMetric(0, "ns/op") // real time, says nothing
	if f.bytes > 0 {
		b.ReportMetric(used.Seconds()/(float64(f.bytes)/1e9), "cpu-s/GB")
		b.ReportMetric(float64(f.bytes)*8/1e6/took.Seconds(), "Mb/s")
	}
	b.ReportMetric(100*used.Seconds()/took.Seconds(), "%cpu")
	b.ReportMetric(float64(f.lost), "lost")
	b.ReportMetric(float64(f.disordered), "disordered")
	if f.strange > 0 {
		b.ReportMetric(float64(f.strange), "strange")
	}
	b.ReportMetric(c.child.resident(b)/1e6, "MB")
	micros := func(h *histogram, q float64) float64 { return float64(h.quantile(q)) / 1e3 }
	b.ReportMetric(micros(&f.video, 0.50), "video-p50-µs")
	b.ReportMetric(micros(&f.video, 0.99), "video-p99-µs")
	b.ReportMetric(micros(&f.audio, 0.50), "audio-p50-µs")
	b.ReportMetric(micros(&f.audio, 0.99), "audio-p99-µs")
	return f
}

// BenchmarkRTSP delivers one stream of a whole server to n players in real time, and beside it a bare loop that makes the same writes.
func BenchmarkRTSP(b *testing.B) {
	for _, transport := range []string{"tcp", "udp"} {
		for _, n := range []int{1, 10, 100, 200, 500, 1000} {
			b.Run(fmt.Sprintf("transport=%s/players=%d/work=berth", transport, n), func(b *testing.B) {
				c := newServerScene(b, 1)
				c.join(b, "0", n, transport == "udp")
				c.wait(90) // a key frame and more, so that what new players get at once has passed
				c.measure(b)
				b.ReportMetric((c.child.resident(b)-c.before)/1e3/float64(n), "kB/player")
			})
			b.Run(fmt.Sprintf("transport=%s/players=%d/work=loop", transport, n), func(b *testing.B) {
				c := newRelayScene(b, transport, 1, n)
				c.wait(90)
				c.measure(b)
			})
		}
	}
}

// BenchmarkRTSPStreams delivers n streams to one player each.
func BenchmarkRTSPStreams(b *testing.B) {
	for _, n := range []int{1, 10, 50, 200} {
		b.Run(fmt.Sprintf("streams=%d/work=berth", n), func(b *testing.B) {
			c := newServerScene(b, n)
			for i := range n {
				c.join(b, strconv.Itoa(i), 1, false)
			}
			c.wait(90)
			cpu, at := c.child.cpu(b), time.Now()
			c.measure(b)
			b.ReportMetric(float64((c.child.cpu(b)-cpu).Microseconds())/time.Since(at).Seconds()/float64(n), "cpu-µs/stream-second")
			b.ReportMetric(c.before/1e3/float64(n), "kB/stream")
		})
		b.Run(fmt.Sprintf("streams=%d/work=loop", n), func(b *testing.B) {
			c := newRelayScene(b, "tcp", n, 1)
			c.wait(90)
			cpu, at := c.child.cpu(b), time.Now()
			c.measure(b)
			b.ReportMetric(float64((c.child.cpu(b)-cpu).Microseconds())/time.Since(at).Seconds()/float64(n), "cpu-µs/stream-second")
		})
	}
}

// BenchmarkRTSPStalled has some players who never read beside a hundred who do.
func BenchmarkRTSPStalled(b *testing.B) {
	for _, stalled := range []int{0, 1, 20} {
		b.Run(fmt.Sprintf("players=100/stalled=%d", stalled), func(b *testing.B) {
			c := newServerScene(b, 1)
			c.join(b, "0", 100, false)
			for range stalled {
				require.NoError(b, c.players.join("0", false, true))
			}
			c.wait(90)
			c.measure(b)
		})
	}
}

// BenchmarkRTSPJoin measures the time from the first packet of the connection to the last packet of the first key frame. An operation is one player who comes and goes.
func BenchmarkRTSPJoin(b *testing.B) {
	for _, transport := range []string{"tcp", "udp"} {
		b.Run("transport="+transport, func(b *testing.B) {
			c := newServerScene(b, 1)
			var took histogram
			for b.Loop() {
				b.StopTimer()
				p := newPlayers(b)
				p.addr = c.child.addrs[0]
				b.StartTimer()
				from := time.Now()
				require.NoError(b, p.join("0", transport == "udp", false))
				<-p.first
				took.add(time.Since(from))
				b.StopTimer()
				p.close()
				b.StartTimer()
			}
			took.report(b)
		})
	}
}

// BenchmarkRTSPIdle measures the memory of players of a stream that sends nothing. An operation is nothing.
func BenchmarkRTSPIdle(b *testing.B) {
	for _, n := range []int{1000, 9000} {
		b.Run(fmt.Sprintf("players=%d", n), func(b *testing.B) {
			var limit unix.Rlimit
			require.NoError(b, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
			if limit.Cur < uint64(n)+500 { //nolint:gosec // small
				b.Skipf("needs %d file descriptors, may have %d", n+500, limit.Cur)
			}
			c := &scene{child: startChild(b, "server", 1), players: newPlayers(b)}
			c.players.addr = c.child.addrs[0]
			quiet := announce(b, c.players.addr, "0")
			require.NoError(b, quiet.sendPicture(0))
			b.Cleanup(quiet.stop)
			c.before = c.child.resident(b)
			c.join(b, "0", n, false)
			cpu, at := c.child.cpu(b), time.Now()
			for b.Loop() {
				timer := time.NewTimer(100 * time.Millisecond)
				<-timer.C
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(100*(c.child.cpu(b)-cpu).Seconds()/time.Since(at).Seconds(), "%cpu")
			b.ReportMetric((c.child.resident(b)-c.before)/1e3/float64(n), "kB/player")
			b.ReportMetric(c.child.resident(b)/1e6, "MB")
		})
	}
}

// localPort is the address of a socket bound to loopback.
func localPort(fd int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(portOf(fd))) //nolint:gosec // a port
}
