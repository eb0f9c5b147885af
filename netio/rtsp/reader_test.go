package rtsp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/stretchr/testify/require"
)

// dripReader gives bytes in pieces of n.
type dripReader struct {
	src io.Reader
	n   int
}

func (d *dripReader) Read(p []byte) (int, error) { return d.src.Read(p[:min(len(p), d.n)]) }

func frameOf(channel byte, payload []byte) []byte {
	return append([]byte{'$', channel, byte(len(payload) >> 8), byte(len(payload))}, payload...)
}

func rtpBytes(size int, fill byte) []byte {
	b := bytes.Repeat([]byte{fill}, size)
	b[0] = 0x80
	return b
}

// describe says in one line what a message is, for tables.
func describe(m Message) string {
	switch {
	case m.Err != nil:
		seq := ""
		if m.Request != nil {
			seq = headerValue(m.Request.Header, "CSeq")
		}
		return fmt.Sprintf("error %d fatal=%t cseq=%s", m.Err.Status, m.Err.Fatal, seq)
	case m.Frame != nil:
		return fmt.Sprintf("frame %d len=%d", m.Channel, len(m.Frame))
	case m.Response != nil:
		return fmt.Sprintf("response %d", m.Response.StatusCode)
	}
	return fmt.Sprintf("request %s %v cseq=%s body=%q", m.Request.Method, m.Request.URL, headerValue(m.Request.Header, "CSeq"), m.Request.Body)
}

var readerCases = []struct {
	name  string
	input string
	want  []string
}{
	{"request", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", []string{"request OPTIONS <nil> cseq=1 body=\"\""}},
	{"line feeds alone", "OPTIONS rtsp://h/a/b RTSP/1.0\nCSeq: 1\n\n", []string{"request OPTIONS rtsp://h/a/b cseq=1 body=\"\""}},
	{"no cseq, lower-case and folded header", "PLAY rtsp://h/a/b RTSP/1.0\r\nsession:  x\r\ntransport: a\r\n b\r\n\r\n", []string{"request PLAY rtsp://h/a/b cseq= body=\"\""}},
	{
		"pipelined with body", "ANNOUNCE rtsp://h/a/b RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabcOPTIONS * RTSP/1.0\r\ncseq:2\r\n\r\n",
		[]string{"request ANNOUNCE rtsp://h/a/b cseq=1 body=\"abc\"", "request OPTIONS <nil> cseq=2 body=\"\""},
	},
	{"empty lines before", "\r\n\r\n\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", []string{"request OPTIONS <nil> cseq=1 body=\"\""}},
	{"response", "RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n", []string{"response 200"}},
	{"space in the url", "DESCRIBE rtsp://h/a/my cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", []string{"request DESCRIBE rtsp://h/a/my%20cam cseq=1 body=\"\""}},
	{
		"frames between requests", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" + string(frameOf(0, rtpBytes(20, 1))) + string(frameOf(3, nil)) + "OPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n",
		[]string{"request OPTIONS <nil> cseq=1 body=\"\"", "frame 0 len=20", "frame 3 len=0", "request OPTIONS <nil> cseq=2 body=\"\""},
	},
	{"largest frame", string(frameOf(1, rtpBytes(65535, 7))), []string{"frame 1 len=65535"}},
	{
		"garbage between frames", string(frameOf(0, rtpBytes(20, 1))) + "\x00\x01$noise that is no frame GETTY " + string(frameOf(2, rtpBytes(30, 2))),
		[]string{"frame 0 len=20", "frame 2 len=30"},
	},
	{
		"half a frame, then a request", string(frameOf(0, rtpBytes(20, 1))) + "\x05\x06OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n",
		[]string{"frame 0 len=20", "request OPTIONS <nil> cseq=9 body=\"\""},
	},
	{"bad url", "DESCRIBE http://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n", []string{"error 400 fatal=false cseq=1", "request OPTIONS <nil> cseq=2 body=\"\""}},
	{"no colon", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nnonsense\r\n\r\n", []string{"error 400 fatal=false cseq=1"}},
	{"wrong version", "OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", []string{"error 505 fatal=false cseq=1"}},
	{"not RTSP", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"error 400 fatal=true cseq="}},
	{"binary", "\x16\x03\x01\x02\x00", []string{"error 400 fatal=true cseq="}},
	{"no version", "OPTIONS *\r\nCSeq: 1\r\n\r\n", []string{"error 400 fatal=true cseq=1"}},
	{"length no number", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n", []string{"error 400 fatal=true cseq=1"}},
	{"length twice", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n", []string{"error 400 fatal=true cseq=1"}},
	{"length beyond the limit", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 131073\r\n\r\n", []string{"error 413 fatal=true cseq=1"}},
	{"header beyond the limit", "OPTIONS * RTSP/1.0\r\nA: " + strings.Repeat("x", 17<<10), []string{"error 413 fatal=true cseq="}},
	{"lines beyond the limit", "OPTIONS * RTSP/1.0\r\n" + strings.Repeat("A: b\r\n", 129) + "\r\n", []string{"error 413 fatal=true cseq="}},
	{"method too long", strings.Repeat("A", 40) + " * RTSP/1.0\r\n\r\n", []string{"error 400 fatal=true cseq="}},
	{"response header injection", "OPTIONS * RTSP/1.0\r\nCSeq: 1\rX: 2\r\n\r\n", []string{"error 400 fatal=false cseq="}},
}

func TestReader(t *testing.T) {
	sources := map[string]func(io.Reader) io.Reader{
		"whole":        func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"seven bytes":  func(r io.Reader) io.Reader { return &dripReader{r, 7} },
		"data and err": iotest.DataErrReader,
	}
	for name, source := range sources {
		for _, c := range readerCases {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				r := NewReader(source(strings.NewReader(c.input)), Limits{})
				var got []string
				for {
					msg, err := r.Next()
					if err != nil {
						require.ErrorIs(t, err, io.EOF)
						break
					}
					got = append(got, describe(msg))
					if msg.Err != nil && msg.Err.Fatal {
						break
					}
				}
				require.Equal(t, c.want, got)
			})
		}
	}
}

func TestReaderGivesUpOnGarbage(t *testing.T) {
	input := append(frameOf(0, rtpBytes(20, 1)), bytes.Repeat([]byte{0xff}, 70<<10)...)
	r := NewReader(bytes.NewReader(input), Limits{})
	_, err := r.Next()
	require.NoError(t, err)
	_, err = r.Next()
	require.ErrorIs(t, err, ErrGarbage)
	require.EqualValues(t, 64<<10+1, r.Skipped())
}

// TestReaderMemory proves that a header which announces a large body costs memory only as the body arrives, and that a quiet connection keeps a small buffer.
func TestReaderMemory(t *testing.T) {
	head := "ANNOUNCE rtsp://h/a/b RTSP/1.0\r\nContent-Length: 131072\r\n\r\n"
	r := NewReader(strings.NewReader(head), Limits{})
	_, err := r.Next()
	require.ErrorIs(t, err, io.EOF)
	require.LessOrEqual(t, len(r.buf), 2*firstBuffer)

	r = NewReader(strings.NewReader(head+strings.Repeat("x", 131072)), Limits{})
	msg, err := r.Next()
	require.NoError(t, err)
	require.Len(t, msg.Request.Body, 131072)
	require.LessOrEqual(t, len(r.buf), mediaBuffer)
}

func TestReaderDoesNotAllocatePerFrame(t *testing.T) {
	frames := bytes.Repeat(frameOf(0, rtpBytes(1200, 1)), 2000)
	r := NewReader(bytes.NewReader(frames), Limits{})
	for range 500 { // until the buffer has its size
		_, err := r.Next()
		require.NoError(t, err)
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}))
}

// TestReaderStall: a message that has begun must arrive whole in time; a connection without one may rest for ever, whatever deadline is left behind.
func TestReaderStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		r := NewReader(server, Limits{})
		r.setDeadline, r.now, r.patience, r.interrupted = server.SetReadDeadline, time.Now, 10*time.Second, func() bool { return false }
		got, failed := make(chan Message), make(chan error)
		go func() {
			for {
				msg, err := r.Next()
				if err != nil {
					failed <- err
					return
				}
				got <- msg
			}
		}()
		write := func(s string) {
			_, err := client.Write([]byte(s))
			require.NoError(t, err)
		}
		write("OPTIONS * ")
		<-time.After(9 * time.Second)
		write("RTSP/1.0\r\n\r\n")
		require.Equal(t, base.Options, (<-got).Request.Method)
		<-time.After(time.Hour) // the deadline of the first message fires in here
		write("OPTIONS * ")
		<-time.After(9 * time.Second)
		write("RTSP/1.0\r\n\r\n")
		require.Equal(t, base.Options, (<-got).Request.Method)
		<-time.After(5 * time.Second) // and that of the second one while the third is young
		write("OPTIONS * ")
		<-time.After(9 * time.Second)
		write("RTSP/1.0\r\n")
		select {
		case err := <-failed:
			t.Fatal("given up too early", err)
		default:
		}
		begun := time.Now()
		require.ErrorIs(t, <-failed, ErrStalled)
		require.Equal(t, time.Second, time.Since(begun))
	})
}

func FuzzReader(f *testing.F) {
	for _, c := range readerCases {
		if len(c.input) < 4096 {
			f.Add([]byte(c.input), uint8(0))
			f.Add([]byte(c.input), uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, piece uint8) {
		limits := Limits{HeaderBytes: 1 << 10, BodyBytes: 4 << 10, GarbageBytes: 256}
		whole := readAll(t, bytes.NewReader(input), limits)
		if piece > 0 {
			// How the bytes are cut must not matter.
			require.Equal(t, whole, readAll(t, &dripReader{bytes.NewReader(input), int(piece)}, limits))
		}
	})
}

func readAll(t *testing.T, src io.Reader, limits Limits) []string {
	r := NewReader(src, limits)
	var got []string
	for {
		msg, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, ErrGarbage) {
				t.Fatal("unexpected error", err)
			}
			return got
		}
		if msg.Request == nil && msg.Response == nil && msg.Frame == nil && msg.Err == nil {
			t.Fatal("an empty message")
		}
		got = append(got, describe(msg))
		if msg.Err != nil && msg.Err.Fatal {
			return got
		}
		if len(r.buf) > 128<<10 {
			t.Fatalf("the buffer grew to %d", len(r.buf))
		}
	}
}
