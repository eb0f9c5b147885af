package gb28181

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/media/hub"
)

// processorTime is what this process has used.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSenders sends streams of 2 Mb/s, 25 pictures of 10 KB a second, to sockets whose packets nobody reads, so that the receiving side costs little. It reports processor seconds for each GB sent, beside the bare system calls.
func BenchmarkSenders(b *testing.B) {
	for _, tc := range []struct {
		streams, senders int
		kind             FormKind
		plain            bool
	}{
		{50, 1, FormPS, false},
		{50, 1, FormPS, true},
		{50, 1, FormTS, false},
		{50, 1, FormElementary, false},
		{1, 50, FormPS, false},
	} {
		b.Run(fmt.Sprintf("%s/streams=%d/senders=%d/gso=%v", tc.kind, tc.streams, tc.senders, !tc.plain), func(b *testing.B) {
			benchSenders(b, tc.streams, tc.senders, tc.kind, tc.plain)
		})
	}
	b.Run("raw/gso", benchRaw)
}

func benchSenders(b *testing.B, streams, senders int, kind FormKind, plain bool) {
	sink := udpPair(b)
	_ = sink.RTP.SetReadBuffer(1) // the least there is
	var sources []*testStream
	var all []*Sender
	for range streams {
		s := newTestStream(b, true, nil, hub.Options{GOPBytes: 1 << 20})
		s.picture(true, 10_000)
		form := s.use(FormOptions{Kind: kind})
		for range senders {
			sender, err := SendUDP(SenderOptions{Form: form, DisableGSO: plain}, udpPair(b), localOf(sink.RTP))
			require.NoError(b, err)
			b.Cleanup(sender.Close)
			all = append(all, sender)
		}
		sources = append(sources, s)
	}
	pkts, err := sources[0].video.Encode([][]byte{testSPS, testPPS, sources[0].unit(0x65, 10_000)})
	require.NoError(b, err)
	seqs := make([]uint16, streams)
	for i := range seqs {
		seqs[i] = pkts[0].SequenceNumber
	}
	wait := func(atLeast uint64) {
		for _, s := range all {
			for s.Viewer().Packets < atLeast {
				<-time.After(50 * time.Microsecond)
			}
		}
	}
	wait(1)
	sent := func() (n uint64) {
		for _, s := range all {
			n += s.bytes.Load()
		}
		return n
	}
	before, beganAt := sent(), processorTime(b)
	now := time.Now()
	for n := 1; b.Loop(); n++ {
		now = now.Add(40 * time.Millisecond)
		for i, s := range sources {
			writePicture(b, s, pkts, &seqs[i], uint32(3600*n), now)
		}
		wait(uint64(8 * n))
	}
	used := processorTime(b) - beganAt
	b.ReportMetric(used.Seconds()/(float64(sent()-before)/1e9), "cpu-s/GB")
	b.ReportMetric(0, "ns/op")
}

func writePicture(b *testing.B, s *testStream, pkts []*rtp.Packet, seq *uint16, ts uint32, now time.Time) {
	b.Helper()
	for _, p := range pkts {
		q := *p
		q.SequenceNumber, q.Timestamp = *seq, ts
		*seq++
		raw, err := q.Marshal()
		if err == nil {
			err = s.writer.WriteRTP(0, now, raw)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// benchRaw makes the same system calls from one loop.
func benchRaw(b *testing.B) {
	sink, from := udpPair(b), udpPair(b)
	_ = sink.RTP.SetReadBuffer(1) // the least there is
	d, err := newDatagrams(from.RTP, localOf(sink.RTP))
	require.NoError(b, err)
	one := newBatch()
	payload := make([]byte, 10_060)
	bytes := 0
	began := processorTime(b)
	for b.Loop() {
		for range 50 {
			one.reset()
			for rest := payload; len(rest) > 0; {
				n := min(1400, len(rest))
				one.add(packet{rest[:n], false}, 96, 1, 1, 1)
				rest = rest[n:]
			}
			bytes += one.bytes
			if n, err := d.send(one, 0); err != nil || n != one.count {
				b.Fatal(n, err)
			}
		}
	}
	b.ReportMetric((processorTime(b)-began).Seconds()/(float64(bytes)/1e9), "cpu-s/GB")
	b.ReportMetric(0, "ns/op")
}
