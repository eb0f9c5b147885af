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
	"testing"
	"time"

	"berth/actors/supervisor"
	"berth/netio/camera"
)

// restartPulls is how many proxies a full restart brings back.
const restartPulls = 200

// BenchmarkFullRestart measures full restarts of a whole server with 200 pulls, while 500 clients connect to its RTSP and HTTP ports. The source is the built-in camera in the same process, so
// that its work for 200 new sessions is in the figures too, as is that of the clients. One operation is one restart, from the request until every pull plays again.
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
	knocks := knocker{rtsp: s.ready.RTSP.String(), http: s.ready.HTTP.String()}
	var engine, playing, worst time.Duration
	for b.Loop() {
		wave := knocks.begin()
		began := time.Now()
		s.call(b, "restartServer", url.Values{"wait": {"1"}})
		up := time.Since(began)
		for s.playing(b) < restartPulls {
			<-time.After(5 * time.Millisecond)
		}
		all := time.Since(began)
		wave.Wait()
		b.Logf("engine up after %d ms, all %d pulling after %d ms", up.Milliseconds(), restartPulls, all.Milliseconds())
		engine, playing, worst = engine+up, playing+all, max(worst, all)
	}
	n := float64(b.N)
	b.ReportMetric(engine.Seconds()*1000/n, "ms/engine")
	b.ReportMetric(playing.Seconds()*1000/n, "ms/all-playing")
	b.ReportMetric(worst.Seconds()*1000, "ms/all-playing-worst")
	b.ReportMetric(float64(knocks.attempts.Load())/n, "connects/op")
	b.ReportMetric(float64(knocks.refused.Load()), "refused")
	b.ReportMetric(float64(knocks.cut.Load())/n, "cut/op")
	b.ReportMetric(float64(knocks.longest.Load())/1e6, "ms/longest-answer")
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
