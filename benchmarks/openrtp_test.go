package benchmarks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heldReceivers is how many receivers a client has open at a time at most. With one only, a port given out twice could not be seen.
const heldReceivers = 2

// BenchmarkOpenRtpServer measures openRtpServer and closeRtpServer of a whole server, asked by clients over a kept connection each. One operation is a receiver opened and closed; each port that is handed out
// is held against those that are open. The clients are in the same process, so that their work is in the figures too.
func BenchmarkOpenRtpServer(b *testing.B) {
	for _, mode := range []string{"udp", "tcp"} {
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", mode, clients), func(b *testing.B) {
				tcpMode := 0
				if mode == "tcp" {
					tcpMode = 1
				}
				benchmarkOpenRtpServer(b, clients, tcpMode)
			})
		}
	}
}

func benchmarkOpenRtpServer(b *testing.B, clients, tcpMode int) {
	s := startServer(b)
	defer s.stop(b)
	w := &openers{address: s.ready.HTTP.String(), secret: s.ready.Secret, tcpMode: tcpMode, inUse: map[int]string{}}
	w.left.Store(int64(b.N))
	cpu := cpuTime(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { w.work(i) })
	}
	wg.Wait()
	elapsed := b.Elapsed()
	b.StopTimer()
	cpu = cpuTime(b) - cpu
	if w.broken != nil {
		b.Error(w.broken)
	}
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "pairs/s")
	b.ReportMetric(float64(w.opens.quantile(0.5).Microseconds()), "open-p50-µs")
	b.ReportMetric(float64(w.opens.quantile(0.99).Microseconds()), "open-p99-µs")
	b.ReportMetric(float64(w.closes.quantile(0.99).Microseconds()), "close-p99-µs")
	b.ReportMetric(float64(w.refused.Load()), "refused")
	b.ReportMetric(float64(w.twice.Load()), "duplicates")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(0, "ns/op")
}

// openers are the clients of one run.
type openers struct {
	address, secret string
	tcpMode         int
	left            atomic.Int64 // operations that nobody has taken yet
	refused, twice  atomic.Int64

	mu            sync.Mutex
	inUse         map[int]string // port to stream, of what is open
	opens, closes histogram
	broken        error
}

// opener is one client.
type opener struct {
	*openers
	conn   net.Conn
	in     *bufio.Reader
	open   []string       // oldest first
	ports  map[string]int // of these
	opened histogram
	closed histogram
}

func (w *openers) work(id int) {
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		w.fail(err)
		return
	}
	defer conn.Close() //nolint:errcheck // the client's end of a connection that has served
	o := &opener{openers: w, conn: conn, in: bufio.NewReader(conn), ports: map[string]int{}}
	for n := 0; err == nil && w.left.Add(-1) >= 0; n++ {
		if err = o.start(fmt.Sprintf("c%d-%d", id, n)); err == nil && len(o.open) >= heldReceivers {
			err = o.end()
		}
	}
	for err == nil && len(o.open) > 0 {
		err = o.end()
	}
	if err != nil {
		w.fail(err)
	}
	w.mu.Lock()
	w.opens.merge(&o.opened)
	w.closes.merge(&o.closed)
	w.mu.Unlock()
}

func (w *openers) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = err
	}
}

// openReply is what either call answers.
type openReply struct {
	Code, Port, Hit int
	Msg             string
}

// start opens a receiver. One that is refused is counted, and given up.
func (o *opener) start(stream string) error {
	r, took, err := o.call("openRtpServer?port=0&tcp_mode=" + strconv.Itoa(o.tcpMode) + "&stream_id=" + stream)
	if err != nil {
		return err
	}
	if r.Code != 0 {
		if o.refused.Add(1) == 1 {
			o.fail(fmt.Errorf("refused: %d %s", r.Code, r.Msg))
		}
		return nil
	}
	o.opened.add(took)
	o.mu.Lock()
	if _, taken := o.inUse[r.Port]; taken {
		o.twice.Add(1)
	}
	o.inUse[r.Port] = stream
	o.mu.Unlock()
	o.open, o.ports[stream] = append(o.open, stream), r.Port
	return nil
}

// end closes the oldest receiver. Its port counts as free from the call on: the server may give it away before the reply has been read.
func (o *opener) end() error {
	stream := o.open[0]
	o.open = o.open[1:]
	o.mu.Lock()
	if o.inUse[o.ports[stream]] == stream {
		delete(o.inUse, o.ports[stream])
	}
	o.mu.Unlock()
	delete(o.ports, stream)
	r, took, err := o.call("closeRtpServer?stream_id=" + stream)
	if err == nil && (r.Code != 0 || r.Hit != 1) {
		err = fmt.Errorf("closing %s: %+v", stream, r)
	}
	o.closed.add(took)
	return err
}

func (o *opener) call(path string) (r openReply, took time.Duration, err error) {
	began := time.Now()
	if _, err = io.WriteString(o.conn, "GET /index/api/"+path+"&secret="+o.secret+" HTTP/1.1\r\nHost: berth\r\n\r\n"); err != nil {
		return r, 0, err
	}
	response, err := http.ReadResponse(o.in, nil)
	if err != nil {
		return r, 0, err
	}
	body, err := io.ReadAll(response.Body)
	took = time.Since(began)
	if err == nil {
		err = json.Unmarshal(body, &r)
	}
	return r, took, err
}
