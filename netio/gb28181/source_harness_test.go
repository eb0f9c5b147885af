package gb28181

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/mpegps"
	"berth/media/remux"
)

// camera makes the RTP packets of a device with H.264 and G.711.
type camera struct {
	ssrc        uint32
	seq         uint16
	payloadType uint8
	pts         media.Ticks
	sound       bool
	noMarker    bool

	tracks []*media.Track
	mux    *mpegps.Muxer
	rand   *rand.Rand
	frames [2][][]byte // video and audio, as they went in
}

func newCamera(ssrc uint32, sound bool) *camera {
	c := &camera{ssrc: ssrc, seq: uint16(65500), payloadType: 96, pts: 90000, sound: sound, rand: rand.New(rand.NewPCG(uint64(ssrc), 2))} //nolint:gosec // not a secret
	formats := []format.Format{&format.H264{PayloadTyp: 96, PacketizationMode: 1}}
	if sound {
		formats = append(formats, &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1})
	}
	for _, f := range formats {
		t, err := media.NewTrack(f)
		if err != nil {
			panic(err)
		}
		c.tracks = append(c.tracks, t)
	}
	c.mux = mpegps.NewMuxer(mpegps.MuxerOptions{Tracks: c.tracks})
	return c
}

// noise returns n bytes in which there is no start code.
func (c *camera) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.rand.Uint32()) | 1
	}
	return b
}

// unit makes an access unit.
func (c *camera) unit(key bool, size int) []byte {
	var b []byte
	add := func(unit []byte) { b = append(append(b, 0, 0, 0, 1), unit...) }
	if key {
		add(testSPS)
		add(testPPS)
		add(append([]byte{0x65, 0x88}, c.noise(size)...))
	} else {
		add(append([]byte{0x41, 0x9a}, c.noise(size)...))
	}
	return b
}

// picture makes the packets of the next picture, and of the sound that belongs to it.
func (c *camera) picture(key bool, size int) (packets [][]byte) {
	b := c.unit(key, size)
	c.frames[0] = append(c.frames[0], b)
	packets = c.cut(c.mux.Append(nil, 0, &media.Frame{Codec: media.CodecH264, PTS: c.pts, DTS: c.pts, Key: key, Payload: b}))
	if c.sound {
		s := c.noise(320)
		c.frames[1] = append(c.frames[1], s)
		packets = append(packets, c.cut(c.mux.Append(nil, 1, &media.Frame{Codec: media.CodecPCMA, PTS: c.pts, DTS: c.pts, Key: true, Payload: s}))...)
	}
	c.pts += 3600
	return packets
}

// cut makes packets of a frame in a container.
func (c *camera) cut(b []byte) (packets [][]byte) {
	for len(b) > 0 {
		n := min(len(b), 1388)
		packets = append(packets, c.packet(b[:n], n == len(b) && !c.noMarker))
		b = b[n:]
	}
	return packets
}

func (c *camera) packet(payload []byte, marker bool) []byte {
	p := rtpPacket(c.ssrc, c.seq, payload)
	c.seq++
	p[1] = c.payloadType
	if marker {
		p[1] |= 0x80
	}
	binary.BigEndian.PutUint32(p[4:], uint32(c.pts))
	return p
}

// run makes the packets of n pictures, with a key picture first and then every tenth, all of one list.
func (c *camera) run(n int) (packets [][]byte) {
	for i := range n {
		size := 3000
		if i%10 == 0 {
			size = 70000 // more than a PES packet holds
		}
		packets = append(packets, c.picture(i%10 == 0, size)...)
	}
	return packets
}

// viewer takes what comes out of a source.
type viewer struct {
	t       testing.TB
	source  *Source
	now     time.Time
	offered [][]*media.Track // not attached yet
	ready   int              // how often
	frames  [2][][]byte
	times   [2][]media.Ticks
	reports int
	broken  bool // refuses what it is given
	unpack  []*remux.Depacketizer
	deaf    bool // does not attach
}

var errRefused = errors.New("refused")

// watch makes a source with a viewer that attaches to whatever is offered, after the packet that brought it.
func watch(t testing.TB, opts SourceOptions) *viewer {
	t.Helper()
	v := &viewer{t: t, now: time.Unix(1000, 0)}
	opts.Ready = func(tracks []*media.Track) { v.offered = append(v.offered, tracks) }
	if opts.Payloads == (PayloadTypes{}) {
		opts.Payloads = PayloadTypes{PS: 96, H264: 98, H265: 99, Opus: 100}
	}
	v.source = NewSource(opts)
	t.Cleanup(v.source.Close)
	return v
}

func (v *viewer) WriteRTP(track int, _ time.Time, pkt []byte) error {
	if v.broken {
		return errRefused
	}
	v.unpack[track].Write(pkt)
	return nil
}

func (v *viewer) WriteRTCP(int, time.Time, []byte) { v.reports++ }

func (v *viewer) attach() {
	if len(v.offered) == 0 || v.deaf {
		return
	}
	tracks := v.offered[len(v.offered)-1]
	v.offered = nil
	v.ready++
	v.unpack = nil
	var numbers []int
	for i, track := range tracks {
		d, err := remux.NewDepacketizer(remux.DepacketizerOptions{Track: track, KeyPatience: -1, Emit: func(f *media.Frame) {
			kind := f.Codec.Kind()
			v.frames[kind] = append(v.frames[kind], bytes.Clone(f.Payload))
			v.times[kind] = append(v.times[kind], f.PTS)
		}})
		require.NoError(v.t, err)
		v.unpack = append(v.unpack, d)
		numbers = append(numbers, i)
	}
	v.source.Attach(v, numbers)
}

// see pushes packets, a millisecond apart.
func (v *viewer) see(from netip.AddrPort, packets ...[]byte) {
	for _, p := range packets {
		v.now = v.now.Add(time.Millisecond)
		v.source.PushUDP(v.now, from, bytes.Clone(p))
		v.attach()
	}
}

// wait lets time pass without packets.
func (v *viewer) wait(d time.Duration) {
	for end := v.now.Add(d); v.now.Before(end); {
		v.now = v.now.Add(50 * time.Millisecond)
		v.source.Tick(v.now)
		v.attach()
	}
}

func hostAt(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 5000)
}

// sameUnits compares access units by their NAL units: the zeros between them carry nothing.
func sameUnits(t testing.TB, want, got [][]byte) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.True(t, bytes.Equal(want[i], got[i]), "frame %d: %d bytes, want %d", i, len(got[i]), len(want[i]))
	}
}
