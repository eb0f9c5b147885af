package rtsp

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Limits bound what one message may cost. The zero value of a field means its default.
type Limits struct {
	HeaderBytes  int // request line and header together; default 16 KiB
	HeaderLines  int // header lines; default 128
	BodyBytes    int // Content-Length; default 128 KiB
	GarbageBytes int // bytes skipped between two messages before the connection is given up; default 64 KiB
}

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.HeaderBytes, 16<<10)
	set(&l.HeaderLines, 128)
	set(&l.BodyBytes, 128<<10)
	set(&l.GarbageBytes, 64<<10)
	return l
}

const (
	firstBuffer = 2 << 10  // enough for almost every request; most connections never need more
	mediaBuffer = 64 << 10 // up to here a busy publisher's buffer grows, so that one read takes many frames
	frameHeader = 4        // '$', channel, 16-bit length (RFC 2326 10.12)
	minPacket   = 8        // the shortest RTCP packet; tells frames from noise when the framing was lost
)

// Message is what [Reader.Next] found: exactly one of Request, Response, Err and a frame.
type Message struct {
	Request  *base.Request
	Response *base.Response
	// Err is a request that cannot be served as it stands; Request then holds what could be read of it, at least its header.
	Err *MalformedError
	// Frame is the payload of an interleaved frame on Channel, valid until the next call; nil for other messages, never nil for a frame.
	Frame   []byte
	Channel uint8
}

// Reader splits a connection's bytes into requests, responses and interleaved frames. Used from one goroutine.
type Reader struct {
	src    io.Reader
	limits Limits
	buf    []byte
	r, w   int // unread bytes are buf[r:w]

	framed  bool // a frame was read: garbage is then skipped instead of being an error
	garbage int  // bytes skipped since the last whole message
	skipped uint64

	// Protection against peers that send a message in drops; off when setDeadline is nil.
	setDeadline func(time.Time) error
	now         func() time.Time
	patience    time.Duration // for one message, from its first byte to its last
	interrupted func() bool   // true once the owner wants no more messages
	begun       time.Time     // when the unfinished message was first seen unfinished; zero between messages
	armed       bool          // a read deadline is set; it is left in place when it does no harm
}

// NewReader returns a reader of src.
func NewReader(src io.Reader, limits Limits) *Reader {
	return &Reader{src: src, limits: limits.withDefaults()}
}

// Skipped returns how many bytes belonged to no message, over the connection's life.
func (r *Reader) Skipped() uint64 { return r.skipped }

// Next returns the next message. Errors are those of the source, [ErrStalled] and [ErrGarbage]; after an error, and after a message whose Err is Fatal,
// the reader must not be used again.
func (r *Reader) Next() (Message, error) {
	r.begun = time.Time{}
	for {
		if err := r.need(1); err != nil {
			return Message{}, err
		}
		switch c := r.buf[r.r]; {
		case c == base.InterleavedFrameMagicByte:
			msg, ok, err := r.frame()
			if err != nil || ok {
				return msg, err
			}
		case c == '\r' || c == '\n':
			// Empty lines before a message are to be ignored (RFC 2326 4.1 with RFC 2068 4.1).
		case isTokenByte(c):
			msg, ok, err := r.text()
			if err != nil || ok {
				return msg, err
			}
		default:
			if !r.framed {
				return Message{Err: fatal(base.StatusBadRequest, "the connection does not speak RTSP (first byte 0x%02x)", c)}, nil
			}
		}
		if err := r.skip(); err != nil {
			return Message{}, err
		}
	}
}

// skip drops one byte that begins no message.
func (r *Reader) skip() error {
	r.r++
	r.garbage++
	r.skipped++
	if r.garbage > r.limits.GarbageBytes {
		return ErrGarbage
	}
	return nil
}

// frame reads an interleaved frame; ok is false when the '$' is noise.
func (r *Reader) frame() (msg Message, ok bool, err error) {
	if err := r.need(frameHeader); err != nil {
		return Message{}, false, err
	}
	head := r.buf[r.r:]
	size := int(head[2])<<8 | int(head[3])
	if r.garbage > 0 && r.framed {
		// Out of step: only believe what looks like an RTP or RTCP packet, version 2 in its first bits.
		if size < minPacket {
			return Message{}, false, nil
		}
		if err := r.need(frameHeader + 1); err != nil {
			return Message{}, false, err
		}
		if r.buf[r.r+frameHeader]>>6 != 2 {
			return Message{}, false, nil
		}
	}
	if err := r.need(frameHeader + size); err != nil {
		return Message{}, false, err
	}
	head = r.buf[r.r : r.r+frameHeader+size : r.r+frameHeader+size]
	r.r += frameHeader + size
	r.garbage, r.framed = 0, true
	return Message{Channel: head[1], Frame: head[frameHeader:]}, true, nil
}

// text reads a request or a response; ok is false when the bytes are noise between frames.
func (r *Reader) text() (msg Message, ok bool, err error) {
	plausible, err := r.plausible()
	if err != nil {
		return Message{}, false, err
	}
	if !plausible {
		if r.framed {
			return Message{}, false, nil
		}
		return Message{Err: fatal(base.StatusBadRequest, "the connection does not speak RTSP")}, true, nil
	}
	size, err := r.headerSize()
	if err != nil {
		if tooLarge := new(MalformedError); errors.As(err, &tooLarge) {
			return Message{Err: tooLarge}, true, nil
		}
		return Message{}, false, err
	}
	msg, length := parseText(r.buf[r.r:r.r+size], r.limits)
	if msg.Err != nil && msg.Err.Fatal {
		return msg, true, nil
	}
	if err := r.need(size + length); err != nil {
		return Message{}, false, err
	}
	if length > 0 {
		body := append([]byte(nil), r.buf[r.r+size:r.r+size+length]...)
		if msg.Request != nil {
			msg.Request.Body = body
		} else {
			msg.Response.Body = body
		}
	}
	r.r += size + length
	r.garbage = 0
	if r.r == r.w && len(r.buf) > mediaBuffer {
		r.buf, r.r, r.w = nil, 0, 0 // a large body is rare; do not keep its room
	}
	return msg, true, nil
}

// longestMethod bounds the first word of a message.
const longestMethod = 32

// plausible reports whether the unread bytes can begin a message: a token, then a space, or the RTSP/ of a response. Among frames only known methods count.
func (r *Reader) plausible() (bool, error) {
	for n := 1; n <= longestMethod; n++ {
		if err := r.need(n); err != nil {
			return false, err
		}
		c := r.buf[r.r+n-1]
		if isTokenByte(c) {
			continue
		}
		word := string(r.buf[r.r : r.r+n-1])
		switch {
		case c == '/':
			return word == "RTSP", nil
		case c != ' ':
			return false, nil
		case r.framed:
			return knownMethod(base.Method(word)), nil
		}
		return true, nil
	}
	return false, nil
}

// headerSize returns the length of the header with its empty line.
func (r *Reader) headerSize() (int, error) {
	line := 0 // start of the current line, relative to r.r
	for n := 1; ; n++ {
		if n > r.limits.HeaderBytes {
			return 0, fatal(base.StatusRequestEntityTooLarge, "the header exceeds %d bytes", r.limits.HeaderBytes)
		}
		if err := r.need(n); err != nil {
			return 0, err
		}
		if r.buf[r.r+n-1] != '\n' {
			continue
		}
		switch text := r.buf[r.r+line : r.r+n-1]; {
		case len(text) == 0, len(text) == 1 && text[0] == '\r':
			return n, nil
		}
		line = n
	}
}

// need returns once n unread bytes are in the buffer.
func (r *Reader) need(n int) error {
	for r.w-r.r < n {
		if err := r.fill(n); err != nil {
			return err
		}
	}
	return nil
}

// fill reads once, making room for n unread bytes first.
func (r *Reader) fill(n int) error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.r+n > len(r.buf) || r.w == len(r.buf) {
		r.room(n)
	}
	got, err := r.read(r.buf[r.w:])
	full := got == len(r.buf)-r.w
	r.w += got
	if full && r.framed && len(r.buf) < mediaBuffer {
		grown := make([]byte, 2*len(r.buf))
		r.w = copy(grown, r.buf[r.r:r.w])
		r.buf, r.r = grown, 0
	}
	if got > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// room makes the buffer hold n unread bytes with place for at least one more read. Growth is by doubling and follows what has arrived, so that a header
// that announces much and sends little costs little.
func (r *Reader) room(n int) {
	unread := r.w - r.r
	size := max(len(r.buf), firstBuffer)
	if unread == size && size < n {
		size *= 2
	}
	if size == len(r.buf) {
		copy(r.buf, r.buf[r.r:r.w])
	} else {
		grown := make([]byte, size)
		copy(grown, r.buf[r.r:r.w])
		r.buf = grown
	}
	r.r, r.w = 0, unread
}

// read reads from the source. While a message is unfinished it must make progress to its end within patience; between messages there is no limit here.
// The deadline is set rarely: it is left behind when the message completes, and sorted out when it fires.
func (r *Reader) read(p []byte) (int, error) {
	if r.setDeadline == nil {
		return r.src.Read(p)
	}
	for {
		unfinished := r.w > r.r
		if unfinished && r.begun.IsZero() {
			r.begun = r.now()
		}
		if unfinished && !r.armed {
			if err := r.setDeadline(r.begun.Add(r.patience)); err != nil {
				return 0, err
			}
			r.armed = true
		}
		if r.interrupted() {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := r.src.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if r.interrupted() {
			return 0, err
		}
		if unfinished && !r.now().Before(r.begun.Add(r.patience)) {
			return 0, ErrStalled
		}
		if err := r.setDeadline(time.Time{}); err != nil {
			return 0, err
		}
		r.armed = false
	}
}
