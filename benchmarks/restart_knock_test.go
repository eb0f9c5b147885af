package benchmarks

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A wave of connection attempts, spread over the time that a restart takes at least.
const (
	waveAttempts = 500
	waveLength   = 300 * time.Millisecond
	waveStep     = 3 * time.Millisecond
	// knockPatience is how long an attempt waits for its answer: far longer than any restart.
	knockPatience = 20 * time.Second
)

// knocker connects to a server that is being restarted, in turns to its RTSP and its HTTP port, and asks something each time.
type knocker struct {
	rtsp, http string

	attempts atomic.Int64
	refused  atomic.Int64 // could not connect
	cut      atomic.Int64 // connected, and got no answer: the connection was the engine's when that ended
	longest  atomic.Int64 // nanoseconds from connecting to the answer
}

// begin starts a wave. Its end is when every attempt has its answer.
func (k *knocker) begin() *sync.WaitGroup {
	var wave sync.WaitGroup
	wave.Go(func() {
		tick := time.NewTicker(waveStep)
		defer tick.Stop()
		began := time.Now()
		for made := 0; made < waveAttempts; {
			<-tick.C
			for due := min(waveAttempts, int(waveAttempts*time.Since(began)/waveLength)); made < due; made++ {
				rtsp := made%2 == 0
				wave.Go(func() { k.knock(rtsp) })
			}
		}
	})
	return &wave
}

func (k *knocker) knock(rtsp bool) {
	addr, request, answer := k.http, "GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", "HTTP/1.1 "
	if rtsp {
		addr, request, answer = k.rtsp, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 200 "
	}
	k.attempts.Add(1)
	began := time.Now()
	conn, err := net.DialTimeout("tcp", addr, knockPatience)
	if err != nil {
		k.refused.Add(1)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(began.Add(knockPatience)) // a connection that was just made takes it
	if _, err := io.WriteString(conn, request); err != nil {
		k.cut.Add(1)
		return
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, answer) {
		k.cut.Add(1)
		return
	}
	for took := time.Since(began).Nanoseconds(); ; {
		if was := k.longest.Load(); took <= was || k.longest.CompareAndSwap(was, took) {
			return
		}
	}
}
