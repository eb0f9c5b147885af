package gb28181

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"berth/media"
	"berth/media/hub"
	"berth/media/remux"
)

// FormKind says how a form is packed. The values are those of the parameter `type` of startSendRtp.
type FormKind int

// Kinds of forms.
const (
	FormElementary FormKind = 0 // one track as RTP carries it: RFC 6184, 7798, 3640, 3551, 7587
	FormPS         FormKind = 1 // MPEG program stream (ISO/IEC 13818-1 section 2.5), as GB/T 28181 asks for
	FormTS         FormKind = 2 // MPEG transport stream in RTP (RFC 2250 section 2)
)

// String returns es, ps or ts.
func (k FormKind) String() string {
	switch k {
	case FormElementary:
		return "es"
	case FormPS:
		return "ps"
	case FormTS:
		return "ts"
	}
	return fmt.Sprintf("form %d", int(k))
}

// Errors of a form.
var (
	// ErrNoTrack says that the stream has no track of the wanted kind.
	ErrNoTrack = errors.New("the stream has nothing of the wanted kind to send")
	// ErrSourceEnded ends the senders of a stream that is over.
	ErrSourceEnded = errors.New("the stream has ended")
)

// CodecError says that a codec has no place in the wanted form.
type CodecError struct {
	Kind  FormKind
	Codec string
	Err   error // why, where there is more to say; may be nil
}

// Error names the codec and what to do.
func (e *CodecError) Error() string {
	text := fmt.Sprintf("%s cannot be sent as %s: send it as elementary stream (type=0)", e.Codec, e.Kind)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what is behind it, if anything.
func (e *CodecError) Unwrap() error { return e.Err }

// FormOptions say what is made of a stream. They are the form's identity: senders that ask for the same share it.
type FormOptions struct {
	Kind FormKind
	// OnlyAudio leaves pictures out. An elementary stream is the stream's first video track, or with OnlyAudio, or in a stream without video, its first audio track.
	OnlyAudio bool
	// G711Packet is the sound in one packet of an elementary stream of G.711 (`rtp_proxy.rtp_g711_dur_ms`). Default 100 ms.
	G711Packet time.Duration
	// PayloadBytes bounds the payload of one packet. Default 1400; a transport stream takes whole packets of 188 bytes, seven at most.
	PayloadBytes int
	// GOPBytes bounds what is kept for new senders since the last key frame. Default 16 MiB.
	GOPBytes int64
}

func (o *FormOptions) setDefaults() {
	if o.G711Packet <= 0 {
		o.G711Packet = 100 * time.Millisecond
	}
	if o.PayloadBytes <= 0 {
		o.PayloadBytes = 1400
	}
	o.PayloadBytes = min(o.PayloadBytes, maxPayloadBytes)
	if o.GOPBytes <= 0 {
		o.GOPBytes = 16 << 20
	}
}

// maxPayloadBytes is what fits any datagram, and the length before a packet on TCP.
const maxPayloadBytes = 60000

// maker turns a stream's packets into units. Owned by the form's goroutine.
type maker interface {
	// rtp takes the next RTP packet of a track, valid for ever.
	rtp(arrived time.Time, track int, pkt []byte)
	// report takes a sender report of a track.
	report(track int, at time.Time, rtp uint32)
	// flush is called when nothing more is there for now.
	flush()
}

// ringTime is how far a sender may fall behind, beyond what is kept since the last key frame.
const ringTime = 4 * time.Second

// Form is one stream in one form: payloads of RTP packets, made once and shared by all its senders. One goroutine makes them, and one for each sender writes them: a sender that has to wait waits alone, and what
// the change of goroutines costs is a tenth of sending a stream to one peer (BenchmarkSenders). See [Forms].
type Form struct {
	hub    *hub.Hub
	opts   FormOptions
	tracks []int // hub tracks in the form
	left   []string
	clock  media.ClockRate
	ring   formRing
	reader *hub.Reader
	make   maker

	due  chan struct{} // one token: the hub may have something
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards what follows
	senders map[*Sender]struct{}
	timer   *time.Timer // runs while flushAt is set
	flushAt time.Time   // when the hub is to be flushed; zero: not at all
	closed  bool

	forms *Forms // it is one of; users is guarded by its lock
	key   formKey
	users int
}

// newForm begins to make a form of a stream.
func newForm(h *hub.Hub, opts FormOptions) (*Form, error) {
	opts.setDefaults()
	f := &Form{
		hub: h, opts: opts, senders: map[*Sender]struct{}{},
		due: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	f.ring.gopBytes, f.ring.keep = opts.GOPBytes, ringTime
	var err error
	switch opts.Kind {
	case FormElementary:
		err = f.chooseElementary()
	case FormPS, FormTS:
		err = f.chooseContainer()
	default:
		err = fmt.Errorf("%s is unknown: type is 0 (elementary stream), 1 (PS) or 2 (TS)", opts.Kind)
	}
	if err != nil {
		return nil, err
	}
	f.reader = h.NewReader(hub.ReaderOptions{Tracks: f.tracks})
	f.begin()
	h.Subscribe(f)
	f.signal()
	go f.run()
	return f, nil
}

// Tracks returns the hub's numbers of the tracks in the form.
func (f *Form) Tracks() []int { return f.tracks }

// LeftOut returns the codecs of the sound that the form has no place for.
func (f *Form) LeftOut() []string { return f.left }

// Kind returns how the form is packed.
func (f *Form) Kind() FormKind { return f.opts.Kind }

// wanted returns the tracks of a kind.
func (f *Form) wanted(kind media.Kind) []int {
	var out []int
	for i, t := range f.hub.Tracks() {
		if t.Kind == kind {
			out = append(out, i)
		}
	}
	return out
}

// Wake implements hub.Waker.
func (f *Form) Wake(within time.Duration) {
	if within <= 0 {
		f.signal()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Now().Add(within)
	switch {
	case f.closed || !f.flushAt.IsZero() && !at.Before(f.flushAt):
		return
	case f.timer == nil:
		f.timer = time.AfterFunc(within, f.expire)
	default:
		f.timer.Reset(within)
	}
	f.flushAt = at
}

// expire flushes the hub. The hub's lock comes before the form's, so none is held here.
func (f *Form) expire() {
	f.mu.Lock()
	waits := !f.flushAt.IsZero()
	f.flushAt = time.Time{}
	f.mu.Unlock()
	if waits {
		f.hub.Flush(time.Now())
		f.signal()
	}
}

func (f *Form) signal() {
	select {
	case f.due <- struct{}{}:
	default:
	}
}

// run makes units until the form is closed or the stream has ended.
func (f *Form) run() {
	defer close(f.done)
	for {
		select {
		case <-f.stop:
			return
		case <-f.due:
		}
		if ended := f.drain(); ended {
			f.ring.end()
			f.wakeSenders()
			return
		}
		f.wakeSenders()
	}
}

// drain makes units of everything that is due.
func (f *Form) drain() (ended bool) {
	for n := 0; ; n++ {
		c, state := f.reader.Next()
		if state != hub.StateReady {
			f.make.flush()
			return state != hub.StateWait
		}
		for _, p := range c.Packets {
			switch {
			case !f.reader.Wants(p.Track()):
			case !p.RTCP():
				f.make.rtp(c.Arrived, p.Track(), c.Bytes(p))
			default:
				if at, rtp, ok := remux.ParseReport(c.Bytes(p)); ok {
					f.make.report(p.Track(), at, rtp)
				}
			}
		}
		if n%16 == 15 {
			f.wakeSenders() // the beginning is a whole group of pictures
		}
	}
}

func (f *Form) wakeSenders() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.senders {
		s.signal()
	}
}

// join makes a sender hear about new units.
func (f *Form) join(s *Sender) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.senders[s] = struct{}{}
	s.signal()
}

func (f *Form) leave(s *Sender) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.senders, s)
}

// close ends the form's goroutine and waits for it.
func (f *Form) close() {
	f.hub.Unsubscribe(f)
	f.mu.Lock()
	f.closed = true
	f.flushAt = time.Time{}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	close(f.stop)
	<-f.done
	f.reader.Close()
}
