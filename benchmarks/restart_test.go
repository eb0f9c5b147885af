package benchmarks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth/actors/supervisor"
	"berth/netio/camera"
)

// restartPulls is how many proxies a full restart brings back.
const restartPulls = 200

// BenchmarkFullRestart measures full restarts of a whole server with 200 pulls, while clients keep connecting to its RTSP port. The source is the built-in camera in the same process, so
// that its work for 200 new sessions is in the figures too. One operation is one restart, from the request until every pull plays again.
func BenchmarkFullRestart(b *testing.B) {
	for _, transport := range []struct{ name, rtpType string }{{"udp", "1"}, {"tcp", "0"}} {
		b.Run(transport.name, func(b *testing.B) { benchmarkRestart(b, transport.rtpType) })
	}
}

func benchmarkRestart(b *testing.B, rtpType string) {
	source, err := camera.Start(camera.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	s := startServer(b)
	defer s.stop(b)
	for i := range restartPulls {
		s.call(b, "addStreamProxy", url.Values{
			"vhost": {"__defaultVhost__"}, "app": {"live"}, "stream": {strconv.Itoa(i)}, "url": {source.URL(strconv.Itoa(i))}, "rtp_type": {rtpType},
		})
	}
	knock := newKnocker(s.ready.RTSP.String())
	var engine, playing time.Duration
	for b.Loop() {
		began := time.Now()
		s.call(b, "restartServer", url.Values{"wait": {"1"}})
		engine += time.Since(began)
		for s.playing(b) < restartPulls {
			<-time.After(5 * time.Millisecond)
		}
		playing += time.Since(began)
	}
	attempts, refused := knock.stop()
	n := float64(b.N)
	b.ReportMetric(engine.Seconds()*1000/n, "ms/engine")
	b.ReportMetric(playing.Seconds()*1000/n, "ms/all-playing")
	b.ReportMetric(float64(attempts)/n, "connects/op")
	b.ReportMetric(float64(refused), "refused")
	b.ReportMetric(0, "ns/op")
}

// served is a whole server in this process.
type served struct {
	ready supervisor.Ready
	end   context.CancelFunc
	ended chan error
}

func startServer(b *testing.B) *served {
	b.Helper()
	ctx, end := context.WithCancel(context.Background())
	s := &served{end: end, ended: make(chan error, 1)}
	ready := make(chan supervisor.Ready, 1)
	go func() {
		s.ended <- supervisor.Run(ctx, supervisor.Options{
			LogOutput: io.Discard, Version: "bench", Env: os.Environ(),
			Set: []string{
				"general.listen_ip=127.0.0.1", "http.port=" + freePort(b), "rtsp.port=" + freePort(b), "rtp_proxy.port=0", "rtp_proxy.port_range=20000-29999",
				"state.dir=" + b.TempDir(), "log.level=error",
			},
			Ready: func(r supervisor.Ready) { ready <- r },
		})
	}()
	select {
	case s.ready = <-ready:
	case err := <-s.ended:
		b.Fatal(err)
	}
	return s
}

func (s *served) stop(b *testing.B) {
	s.end()
	if err := <-s.ended; err != nil {
		b.Error(err)
	}
}

func freePort(b testing.TB) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// call makes an API call that must succeed.
func (s *served) call(b *testing.B, name string, args url.Values) map[string]any {
	b.Helper()
	args.Set("secret", s.ready.Secret)
	resp, err := http.PostForm(fmt.Sprintf("http://%s/index/api/%s", s.ready.HTTP, name), args)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var reply map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		b.Fatal(err)
	}
	if reply["code"] != 0.0 {
		b.Fatalf("%s: %v", name, reply)
	}
	return reply
}

// playing counts the proxies that play.
func (s *served) playing(b *testing.B) int {
	b.Helper()
	n := 0
	list, _ := s.call(b, "listStreamProxy", url.Values{})["data"].([]any)
	for _, item := range list {
		if status, ok := item.(map[string]any)["status"].(float64); ok && status == 0 {
			n++
		}
	}
	return n
}

// knocker opens connections one after the other and counts those that are refused.
type knocker struct {
	end               chan struct{}
	done              sync.WaitGroup
	attempts, refused atomic.Int64
}

func newKnocker(addr string) *knocker {
	k := &knocker{end: make(chan struct{})}
	k.done.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond) // about 500 a second
		defer tick.Stop()
		for {
			select {
			case <-k.end:
				return
			case <-tick.C:
			}
			k.attempts.Add(1)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				k.refused.Add(1)
				continue
			}
			_ = conn.Close()
		}
	})
	return k
}

func (k *knocker) stop() (attempts, refused int64) {
	close(k.end)
	k.done.Wait()
	return k.attempts.Load(), k.refused.Load()
}
