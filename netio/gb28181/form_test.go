package gb28181

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/hub"
	"berth/media/mpegps"
	"berth/media/mpegts"
)

// demuxed collects what a receiver makes of payloads.
type demuxed struct {
	pictures [][]byte // access units as byte stream
	pts      []media.Ticks
	sound    []byte
	soundPTS []media.Ticks
	soundLen []int
	keys     []bool
}

func (d *demuxed) take(_ int, f *media.Frame) {
	if f.Codec.Kind() == media.KindVideo {
		d.pictures = append(d.pictures, bytes.Clone(f.Payload))
		d.pts = append(d.pts, f.PTS)
		d.keys = append(d.keys, f.Key)
		return
	}
	d.sound = append(d.sound, f.Payload...)
	d.soundPTS = append(d.soundPTS, f.PTS)
	d.soundLen = append(d.soundLen, len(f.Payload))
}

// byteStream is an access unit with start codes of four bytes.
func byteStream(units [][]byte) (b []byte) {
	for _, u := range units {
		b = append(append(b, 0, 0, 0, 1), u...)
	}
	return b
}

// demuxer is what the tests need of the containers' demuxers.
type demuxer interface {
	Write(b []byte)
	Mark()
	Flush()
}

func newDemuxer(kind FormKind, d *demuxed) demuxer {
	if kind == FormTS {
		return mpegts.NewDemuxer(mpegts.Options{Emit: d.take})
	}
	return mpegps.NewDemuxer(mpegps.Options{Emit: d.take})
}

// containers are the kinds under test.
func containers() []FormKind { return []FormKind{FormPS, FormTS} }

func TestContainersCarryTheElementaryStreamsBitExactInAllModes(t *testing.T) {
	modes := map[string]func(t *testing.T, o SenderOptions) (next func() *rtp.Packet, s *Sender){
		"active udp": func(t *testing.T, o SenderOptions) (func() *rtp.Packet, *Sender) {
			peer := peerPair(t)
			s, err := SendUDP(o, udpPair(t), localOf(peer.RTP))
			require.NoError(t, err)
			return func() *rtp.Packet { return nextDatagram(t, peer.RTP) }, s
		},
		"passive udp": func(t *testing.T, o SenderOptions) (func() *rtp.Packet, *Sender) {
			peer, sockets := peerPair(t), udpPair(t)
			s, err := SendUDP(o, sockets, netip.AddrPort{})
			require.NoError(t, err)
			_, err = peer.RTP.WriteToUDPAddrPort([]byte{0}, localOf(sockets.RTP))
			require.NoError(t, err)
			return func() *rtp.Packet { return nextDatagram(t, peer.RTP) }, s
		},
		"active tcp": func(t *testing.T, o SenderOptions) (func() *rtp.Packet, *Sender) {
			ours, theirs := tcpPair(t)
			return func() *rtp.Packet { return nextFramed(t, theirs) }, SendTCP(o, ours)
		},
		"passive tcp": func(t *testing.T, o SenderOptions) (func() *rtp.Packet, *Sender) {
			l := listen(t)
			s := AcceptTCP(o, l)
			conn, err := net.Dial("tcp4", l.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			return func() *rtp.Packet { return nextFramed(t, conn) }, s
		},
		"talk": func(t *testing.T, o SenderOptions) (func() *rtp.Packet, *Sender) {
			path := newFakePath()
			return func() *rtp.Packet { return path.next(t) }, sendBack(o, path)
		},
	}
	for _, kind := range containers() {
		for name, open := range modes {
			t.Run(kind.String()+" "+name, func(t *testing.T) {
				s := newTestStream(t, true, g711(), hub.Options{})
				s.picture(true, 70_000)
				form := s.use(FormOptions{Kind: kind})
				require.Equal(t, []int{0, 1}, form.Tracks())
				next, sender := open(t, SenderOptions{Form: form, SSRC: 9, PayloadType: 96, PeerTimeout: patience, WriteTimeout: patience})
				t.Cleanup(sender.Close)
				got := &demuxed{}
				d := newDemuxer(kind, got)
				first := next() // the sender has begun: from here on nothing is passed over
				feed := func(p *rtp.Packet) {
					require.LessOrEqual(t, len(p.Payload), 1400)
					if kind == FormTS {
						require.Zero(t, len(p.Payload)%188)
					}
					require.EqualValues(t, 9, p.SSRC)
					d.Write(p.Payload)
					if p.Marker {
						d.Mark()
					}
				}
				const pictures = 50
				for i := range pictures {
					s.samples(320)
					s.picture(i%12 == 11, 2000*(i%7)+30)
				}
				feed(first)
				seq := first.SequenceNumber
				for len(got.pictures) < pictures || len(got.sound) < pictures*320 {
					p := next()
					seq++
					require.Equal(t, seq, p.SequenceNumber)
					feed(p)
				}
				for i := range got.pictures {
					require.Equal(t, byteStream(s.pictures[i]), got.pictures[i], i)
					require.Equal(t, len(s.pictures[i]) == 3, got.keys[i])
					require.EqualValues(t, 3600*i, got.pts[i]-got.pts[0])
				}
				require.Equal(t, bytes.Join(s.sound, nil), got.sound)
				require.Zero(t, sender.Stats().Dropped)
			})
		}
	}
}

// fakePath stands in for the way back to a device.
type fakePath struct {
	pkts   chan []byte
	closed chan struct{}
}

func newFakePath() *fakePath {
	return &fakePath{pkts: make(chan []byte, 4096), closed: make(chan struct{})}
}

func (p *fakePath) Write(packets ...[]byte) (int, error) {
	for _, b := range packets {
		p.pkts <- bytes.Clone(b)
	}
	return len(packets), nil
}

func (p *fakePath) Closed() <-chan struct{} { return p.closed }

func (p *fakePath) Peer() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:5000") }

func (p *fakePath) Local() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.2:6000") }

func (p *fakePath) next(t testing.TB) *rtp.Packet {
	t.Helper()
	select {
	case b := <-p.pkts:
		return parsed(t, b)
	case <-time.After(patience):
		t.Fatal("nothing has been sent back")
		return nil
	}
}

func TestTalkEndsWithTheDevice(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	path := newFakePath()
	o := newOutcome()
	sender := sendBack(o.watch(SenderOptions{Form: s.use(FormOptions{})}), path)
	t.Cleanup(sender.Close)
	require.Equal(t, path.Peer(), o.peer(t))
	close(path.closed)
	require.ErrorIs(t, o.ended(t), ErrPathClosed)
}

func TestOnlyAudioLeavesPicturesOut(t *testing.T) {
	s := newTestStream(t, true, g711(), hub.Options{})
	s.picture(true, 100)
	s.samples(160)
	for _, kind := range containers() {
		form := s.use(FormOptions{Kind: kind, OnlyAudio: true})
		require.Equal(t, []int{1}, form.Tracks())
		ours, theirs := tcpPair(t)
		sender := SendTCP(SenderOptions{Form: form}, ours)
		t.Cleanup(sender.Close)
		got := &demuxed{}
		d := newDemuxer(kind, got)
		for len(got.sound) == 0 {
			p := nextFramed(t, theirs)
			d.Write(p.Payload)
			d.Mark()
		}
		require.Equal(t, s.sound[0], got.sound)
	}
}

func TestCodecsWithoutAPlaceAreNamed(t *testing.T) {
	track := func(f format.Format) *media.Track {
		tr, err := media.NewTrack(f)
		require.NoError(t, err)
		return tr
	}
	h264 := track(&format.H264{PayloadTyp: 96, PacketizationMode: 1})
	vp8 := track(&format.VP8{PayloadTyp: 97})
	odd := track(&format.G726{PayloadTyp: 98, BitRate: 32})
	interleaved := track(&format.H264{PayloadTyp: 96, PacketizationMode: 2})
	for _, kind := range containers() {
		for name, tc := range map[string]struct {
			tracks []*media.Track
			err    string
			left   []string
		}{
			"video":       {[]*media.Track{vp8, odd}, "VP8 cannot be sent as " + kind.String(), nil},
			"only sound":  {[]*media.Track{odd}, "ADPCM cannot be sent", nil},
			"sound":       {[]*media.Track{h264, odd}, "", []string{"ADPCM"}},
			"interleaved": {[]*media.Track{interleaved}, "packetization-mode", nil},
		} {
			h := hub.New(tc.tracks, hub.Options{})
			var forms Forms
			f, err := forms.Use(h, FormOptions{Kind: kind})
			if tc.err != "" {
				var codec *CodecError
				require.ErrorAs(t, err, &codec, name)
				require.ErrorContains(t, err, tc.err)
				continue
			}
			require.NoError(t, err, name)
			require.Equal(t, tc.left, f.LeftOut())
			f.Release()
		}
	}
}

// The hub's tracks have clocks of their own; in a container they share one.
func TestSoundAndPictureShareAClockInAContainer(t *testing.T) {
	s := newTestStream(t, true, g711(), hub.Options{})
	s.picture(true, 100)
	form := s.use(FormOptions{Kind: FormPS})
	ours, theirs := tcpPair(t)
	sender := SendTCP(SenderOptions{Form: form}, ours)
	t.Cleanup(sender.Close)
	got := &demuxed{}
	d := newDemuxer(FormPS, got)
	const seconds = 60
	for i := range 25 * seconds {
		s.samples(320) // 40 ms, as a picture
		s.picture(i%25 == 24, 50)
		for len(got.pictures) < i+1 || len(got.soundPTS) < i+1 {
			p := nextFramed(t, theirs)
			d.Write(p.Payload)
			d.Mark()
		}
	}
	for i := 1; i < len(got.soundPTS); i++ {
		require.Greater(t, got.soundPTS[i], got.soundPTS[i-1])
	}
	for i := 1; i < len(got.pts); i++ {
		require.Greater(t, got.pts[i], got.pts[i-1])
	}
	last := len(got.soundPTS) - 1
	// Sound i came between picture i and picture i+1, which is when it was written.
	require.InDelta(t, float64(got.pts[last]+3600), float64(got.soundPTS[last]), 90*50, "50 ms")
}

func TestFormsAllocateNothingPerPacketAndSender(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	s.picture(true, 100)
	path := &nullPath{closed: make(chan struct{}), got: make(chan int, 1<<16)}
	sender := sendBack(SenderOptions{Form: s.use(FormOptions{Kind: FormPS})}, path)
	t.Cleanup(sender.Close)
	<-path.got
	// One picture of ten packets: what is made anew is the slabs, less than once a picture and once for all senders.
	pkts, err := s.video.Encode([][]byte{s.unit(0x41, 12_000)})
	require.NoError(t, err)
	var raw [][]byte
	for _, p := range pkts {
		b, err := p.Marshal()
		require.NoError(t, err)
		raw = append(raw, b)
	}
	seq, ts := pkts[0].SequenceNumber, uint32(3600)
	allocs := testing.AllocsPerRun(200, func() {
		for _, b := range raw {
			binary.BigEndian.PutUint16(b[2:], seq)
			binary.BigEndian.PutUint32(b[4:], ts)
			seq++
			if err := s.writer.WriteRTP(0, s.now, b); err != nil {
				panic(err)
			}
		}
		ts += 3600
		s.now = s.now.Add(40 * time.Millisecond)
		for sent := 0; sent < 9; {
			sent += <-path.got
		}
	})
	require.Less(t, allocs, 4.0)
}

// nullPath counts.
type nullPath struct {
	closed chan struct{}
	got    chan int
}

func (p *nullPath) Write(packets ...[]byte) (int, error) {
	p.got <- len(packets)
	return len(packets), nil
}

func (p *nullPath) Closed() <-chan struct{} { return p.closed }

func (p *nullPath) Peer() netip.AddrPort { return netip.AddrPort{} }

func (p *nullPath) Local() netip.AddrPort { return netip.AddrPort{} }

// A form that nobody uses any more must not look like a viewer that has fallen behind: the hub would keep seconds of media for it, for as long as the stream lasts.
func TestNothingIsKeptForAFormThatHasBeenReleased(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	s.picture(true, 1000)
	forms := &Forms{}
	form, err := forms.Use(s.hub, FormOptions{Kind: FormPS})
	require.NoError(t, err)
	form.Release()
	for range 10 {
		s.picture(true, 1000)
		s.picture(false, 1000)
	}
	require.Equal(t, 2, s.hub.Stats().RingChunks, "the last group of pictures")
}
