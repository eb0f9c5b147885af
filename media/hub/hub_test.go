package hub

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
)

// Payload beginnings of H.264 (RFC 6184).
var (
	idr   = []byte{0x65, 0x88, 1, 2, 3}
	slice = []byte{0x41, 0x9a, 1, 2, 3}
	sps   = []byte{0x67, 0x42}
	fuIDR = []byte{0x7c, 0x85, 0x88, 1}
	fuMid = []byte{0x7c, 0x05, 1, 1}
	fuEnd = []byte{0x7c, 0x45, 1, 1}
	sound = []byte{0, 16, 1, 2, 3}
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newTestTrack(t testing.TB, f format.Format) *media.Track {
	t.Helper()
	tr, err := media.NewTrack(f)
	require.NoError(t, err)
	return tr
}

func videoTrack(t testing.TB) *media.Track {
	return newTestTrack(t, &format.H264{PayloadTyp: 96, PacketizationMode: 1})
}

func audioTrack(t testing.TB) *media.Track {
	return newTestTrack(t, &format.MPEG4Audio{PayloadTyp: 97, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}})
}

// source makes the packets of one track.
type testSource struct {
	t     testing.TB
	w     *Writer
	track int
	pt    uint8
	seq   uint16
	ts    uint32
	ssrc  uint32
}

func rtpPacket(pt uint8, marker bool, seq uint16, ts, ssrc uint32, payload []byte) []byte {
	b := make([]byte, media.RTPHeaderSize, media.RTPHeaderSize+len(payload))
	b[0], b[1] = 0x80, pt
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return append(b, payload...)
}

func (s *testSource) send(now time.Time, marker bool, payload []byte) {
	s.t.Helper()
	require.NoError(s.t, s.w.WriteRTP(s.track, now, rtpPacket(s.pt, marker, s.seq, s.ts, s.ssrc, payload)))
	s.seq++
}

// got is a packet as a viewer sees it.
type got struct {
	track   int
	rtcp    bool
	marker  bool
	seq     uint16
	ts      uint32
	ssrc    uint32
	payload []byte
}

// unpack reads the interleaved bytes of a chunk and checks that the index agrees.
func unpack(t testing.TB, c *Chunk) []got {
	t.Helper()
	var out []got
	rest := c.Data
	for i := 0; len(rest) > 0; i++ {
		require.Equal(t, byte('$'), rest[0])
		size := int(binary.BigEndian.Uint16(rest[2:]))
		pkt := rest[HeaderSize : HeaderSize+size]
		require.Equal(t, pkt, c.Bytes(c.Packets[i]))
		require.Equal(t, rest[:HeaderSize+size], c.Framed(c.Packets[i]))
		require.Equal(t, rest[1], c.Packets[i].Channel)
		require.True(t, c.Has(c.Packets[i].Track()))
		g := got{track: int(rest[1] >> 1), rtcp: rest[1]&1 != 0}
		if g.rtcp {
			g.ssrc, g.payload = binary.BigEndian.Uint32(pkt[4:]), pkt
		} else {
			g.marker, g.seq, g.ts, g.ssrc, g.payload = pkt[1]&0x80 != 0, binary.BigEndian.Uint16(pkt[2:]), binary.BigEndian.Uint32(pkt[4:]), binary.BigEndian.Uint32(pkt[8:]), pkt[media.RTPHeaderSize:]
		}
		out = append(out, g)
		rest = rest[HeaderSize+size:]
	}
	require.Len(t, c.Packets, len(out))
	return out
}

// drain returns everything that is due, RTP only.
func drain(t testing.TB, r *Reader) (out [][]got, state State) {
	t.Helper()
	for {
		c, st := r.Next()
		if st != StateReady {
			return out, st
		}
		var rtp []got
		for _, g := range unpack(t, c) {
			if !g.rtcp {
				rtp = append(rtp, g)
			}
		}
		out = append(out, rtp)
	}
}

type wakeLog []time.Duration

func (w *wakeLog) Wake(within time.Duration) { *w = append(*w, within) }

// av is a hub with video and audio and a publisher.
type av struct {
	*Hub
	video, audio testSource
}

func newAV(t testing.TB, opts Options) *av {
	tracks := []*media.Track{videoTrack(t), audioTrack(t)}
	h := New(tracks, opts)
	a := &av{Hub: h}
	a.attach(t)
	return a
}

func (a *av) attach(t testing.TB) {
	w, mapping, err := a.Attach(a.Tracks())
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, mapping)
	a.video = testSource{t: t, w: w, track: 0, pt: 96, seq: 100, ts: 1000, ssrc: 11}
	a.audio = testSource{t: t, w: w, track: 1, pt: 97, seq: 65530, ts: 5000, ssrc: 22}
}

func (a *av) frame(now time.Time, payload []byte) {
	a.video.send(now, true, payload)
	a.video.ts += 3000
}

func (a *av) sound(now time.Time) {
	a.audio.send(now, true, sound)
	a.audio.ts += 1024
}

func TestChunksFollowAccessUnits(t *testing.T) {
	a := newAV(t, Options{})
	r := a.NewReader(ReaderOptions{})
	var wakes wakeLog
	a.Subscribe(&wakes)

	a.video.send(epoch, true, sps) // parameter sets sent as a picture of their own stay with the next one
	a.video.ts++
	a.video.send(epoch, false, fuIDR)
	a.video.send(epoch, false, fuMid)
	a.sound(epoch) // a picture in work takes it along
	a.video.send(epoch, true, fuEnd)
	a.video.ts += 3000
	require.Equal(t, wakeLog{5 * time.Millisecond, 0}, wakes)

	a.sound(epoch.Add(20 * time.Millisecond))
	require.Equal(t, wakeLog{5 * time.Millisecond, 0, 35 * time.Millisecond}, wakes)

	a.frame(epoch.Add(33*time.Millisecond), slice)
	chunks, state := drain(t, r)
	require.Equal(t, StateWait, state)
	require.Len(t, chunks, 3)
	require.Len(t, chunks[0], 5)
	require.Equal(t, []int{0, 0, 0, 1, 0}, []int{chunks[0][0].track, chunks[0][1].track, chunks[0][2].track, chunks[0][3].track, chunks[0][4].track})
	require.Equal(t, sps, chunks[0][0].payload)
	require.True(t, chunks[0][4].marker)
	for i := range 4 {
		require.Equal(t, a.SSRC(chunks[0][i].track), chunks[0][i].ssrc)
	}
	require.Equal(t, 1, chunks[1][0].track)
	require.Equal(t, slice, chunks[2][0].payload)
	require.EqualValues(t, 3000+1, chunks[2][0].ts-chunks[0][0].ts)
	a.Unsubscribe(&wakes)
	a.frame(epoch.Add(66*time.Millisecond), slice)
	require.Len(t, wakes, 4)
}

func TestPictureWithoutMarkerLeavesWithTheNext(t *testing.T) {
	a := newAV(t, Options{})
	r := a.NewReader(ReaderOptions{})
	a.video.send(epoch, false, idr)
	_, state := r.Next()
	require.Equal(t, StateWait, state)
	a.video.ts += 3000
	a.video.send(epoch, false, slice)
	chunks, _ := drain(t, r)
	require.Len(t, chunks, 1)
	require.Len(t, chunks[0], 1)

	a.Flush(epoch.Add(4 * time.Millisecond))
	chunks, _ = drain(t, r)
	require.Empty(t, chunks, "its time has not come")
	a.video.w.Flush(epoch.Add(5 * time.Millisecond))
	chunks, _ = drain(t, r)
	require.Len(t, chunks, 1)
	a.Flush(epoch.Add(time.Second))
	chunks, _ = drain(t, r)
	require.Empty(t, chunks)
}

func TestLargePictureLeavesInPieces(t *testing.T) {
	a := newAV(t, Options{ChunkBytes: 4096})
	r := a.NewReader(ReaderOptions{})
	a.video.send(epoch, false, append(fuIDR[:4:4], make([]byte, 1300)...))
	for range 6 {
		a.video.send(epoch, false, append(fuMid[:4:4], make([]byte, 1300)...))
	}
	chunks, _ := drain(t, r)
	require.Len(t, chunks, 2, "while it still arrives")
	a.video.send(epoch.Add(5*time.Millisecond), false, fuMid)
	chunks, _ = drain(t, r)
	require.Len(t, chunks, 1, "and when it arrives slowly")
	a.video.send(epoch.Add(5*time.Millisecond), true, fuEnd)
	chunks, _ = drain(t, r)
	require.Len(t, chunks, 1)

	late := a.NewReader(ReaderOptions{})
	chunks, _ = drain(t, late)
	require.Len(t, chunks, 4, "a new reader begins with the first piece")
	require.EqualValues(t, 1, a.TrackStats(0).Frames)
	require.EqualValues(t, 1, a.TrackStats(0).KeyFrames)
}

func TestMarkerOnEverySliceIsOnePicture(t *testing.T) {
	a := newAV(t, Options{})
	for range 3 {
		a.video.send(epoch, true, idr)
	}
	require.EqualValues(t, 1, a.TrackStats(0).Frames)
	chunks, _ := drain(t, a.NewReader(ReaderOptions{}))
	require.Len(t, chunks, 3, "a reader begins with the first slice")
}

func TestReaderBeginsAtNewestKeyFrame(t *testing.T) {
	a := newAV(t, Options{})
	early := a.NewReader(ReaderOptions{})
	a.frame(epoch, slice)
	a.sound(epoch)
	_, state := early.Next()
	require.Equal(t, StateWait, state, "nothing can be decoded yet")
	require.False(t, early.Start()[0].Known)
	a.frame(epoch, idr)
	a.frame(epoch, slice)
	chunks, _ := drain(t, early)
	require.Len(t, chunks, 2)
	require.Zero(t, early.Stats().Dropped, "what came before it began is not its loss")

	a.frame(epoch, idr)
	a.sound(epoch)
	chunks, _ = drain(t, a.NewReader(ReaderOptions{}))
	require.Len(t, chunks, 2)
	require.Equal(t, idr, chunks[0][0].payload)

	video := a.NewReader(ReaderOptions{Tracks: []int{0, 7}})
	require.False(t, video.All())
	require.True(t, video.Wants(0))
	require.False(t, video.Wants(1))
	chunks, _ = drain(t, video)
	require.Len(t, chunks, 1, "chunks without a wanted track are passed over")

	audio := a.NewReader(ReaderOptions{Tracks: []int{1}})
	chunks, _ = drain(t, audio)
	require.Len(t, chunks, 1, "sound begins anywhere")
	require.Equal(t, a.Hub, audio.Hub())
}

// A reader that begins while a key frame comes in begins with the one before it: of that it can be told where each track begins.
func TestReaderBeginsAtWholeKeyFrame(t *testing.T) {
	a := newAV(t, Options{})
	a.frame(epoch, idr)
	a.sound(epoch)
	a.video.send(epoch.Add(time.Second), false, fuIDR)
	r := a.NewReader(ReaderOptions{})
	for _, start := range r.Start() {
		require.True(t, start.Known, "track %d", start.Track)
	}
	a.video.send(epoch.Add(time.Second), true, fuEnd)
	chunks, _ := drain(t, r)
	require.Len(t, chunks, 3)
	require.Equal(t, idr, chunks[0][0].payload)
	chunks, _ = drain(t, a.NewReader(ReaderOptions{}))
	require.Len(t, chunks, 1)
	require.Equal(t, fuIDR, chunks[0][0].payload)
}

// A long group of pictures is kept whole, far beyond what a ring begins with, and a reader that stands in it loses nothing when the ring grows.
func TestLongGroupsOfPicturesAreKept(t *testing.T) {
	a := newAV(t, Options{})
	a.frame(epoch, idr)
	r := a.NewReader(ReaderOptions{})
	const pictures = 20 * firstSlots
	taken := 0
	for i := range pictures {
		a.frame(epoch.Add(time.Duration(i+1)*40*time.Millisecond), slice)
		if i%100 == 0 {
			chunks, _ := drain(t, r)
			taken += len(chunks)
		}
	}
	chunks, _ := drain(t, r)
	require.Equal(t, pictures+1, taken+len(chunks))
	require.Zero(t, r.Stats().Dropped)
	chunks, _ = drain(t, a.NewReader(ReaderOptions{}))
	require.Len(t, chunks, pictures+1)
}

func TestNoPictureCache(t *testing.T) {
	a := newAV(t, Options{GOPBytes: -1})
	a.frame(epoch, idr)
	a.frame(epoch, slice)
	r := a.NewReader(ReaderOptions{})
	_, state := r.Next()
	require.Equal(t, StateWait, state)
	a.frame(epoch, slice)
	a.frame(epoch, idr)
	chunks, _ := drain(t, r)
	require.Len(t, chunks, 1)
	require.Equal(t, idr, chunks[0][0].payload)
}

func TestSoundOnly(t *testing.T) {
	h := New([]*media.Track{audioTrack(t)}, Options{})
	w, _, err := h.Attach(h.Tracks())
	require.NoError(t, err)
	var wakes wakeLog
	h.Subscribe(&wakes)
	s := testSource{t: t, w: w, pt: 97, ssrc: 5}
	r := h.NewReader(ReaderOptions{})
	require.Equal(t, []TrackStart{{Track: 0, Seq: h.state[0].lastSeq + 1, RTPTime: h.state[0].lastTS}}, r.Start())
	for range 3 {
		s.send(epoch, true, sound)
		s.ts += 1024
	}
	require.Equal(t, wakeLog{0, 0, 0}, wakes, "nothing to wait for")
	chunks, _ := drain(t, r)
	require.NotEmpty(t, chunks)
	late := h.NewReader(ReaderOptions{})
	require.True(t, late.Start()[0].Known)
	chunks, _ = drain(t, late)
	require.Len(t, chunks, 1, "the newest packet")
}

func TestSlowReaderJumps(t *testing.T) {
	for _, policy := range []Policy{PolicyJump, PolicyClose} {
		a := newAV(t, Options{RingPackets: 8, GOPBytes: 100})
		a.frame(epoch, idr)
		r := a.NewReader(ReaderOptions{Policy: policy})
		_, state := r.Next()
		require.Equal(t, StateReady, state)
		for range 20 {
			a.frame(epoch, slice)
		}
		a.frame(epoch, idr)
		a.frame(epoch, slice)
		require.EqualValues(t, 22, r.Stats().Lag)
		c, state := r.Next()
		if policy == PolicyClose {
			require.Equal(t, StateBehind, state)
			_, state = r.Next()
			require.Equal(t, StateBehind, state)
			continue
		}
		require.Equal(t, StateReady, state)
		require.Equal(t, idr, unpack(t, c)[0].payload)
		st := r.Stats()
		require.EqualValues(t, 1, st.Jumps)
		require.EqualValues(t, 20, st.Dropped)
		require.EqualValues(t, 1, st.Lag)
	}
}

func TestRingKeepsTheGroupOfPicturesWithinItsBounds(t *testing.T) {
	a := newAV(t, Options{RingPackets: 4, GOPBytes: 2000})
	a.frame(epoch, idr)
	for range 20 {
		a.frame(epoch, slice)
	}
	chunks, _ := drain(t, a.NewReader(ReaderOptions{}))
	require.Len(t, chunks, 21, "longer than a reader may fall behind")
	for range 100 {
		a.frame(epoch, slice)
	}
	_, state := a.NewReader(ReaderOptions{}).Next()
	require.Equal(t, StateWait, state, "too large to be kept")
	require.LessOrEqual(t, a.Stats().RingChunks, 6)

	small := newAV(t, Options{RingChunks: 4})
	defer small.NewReader(ReaderOptions{}).Close()
	for range 20 {
		small.frame(epoch, idr)
	}
	require.Equal(t, 4, small.Stats().RingChunks)

	bytes := newAV(t, Options{RingBytes: 200})
	defer bytes.NewReader(ReaderOptions{}).Close()
	for range 20 {
		bytes.frame(epoch, slice)
	}
	require.LessOrEqual(t, bytes.Stats().RingBytes, int64(200))

	old := newAV(t, Options{RingTime: time.Second})
	defer old.NewReader(ReaderOptions{}).Close()
	for i := range 50 {
		old.frame(epoch.Add(time.Duration(i)*100*time.Millisecond), slice)
	}
	require.Equal(t, 11, old.Stats().RingChunks)
}

func TestNothingIsKeptThatNobodyNeeds(t *testing.T) {
	a := newAV(t, Options{})
	now := epoch
	frames := func(n int) {
		for range n {
			now = now.Add(lookEvery)
			a.frame(now, slice)
		}
	}
	a.frame(now, idr)
	frames(10)
	a.frame(now, idr)
	frames(5)
	require.Equal(t, 6, a.Stats().RingChunks, "the group of pictures for the next viewer")

	slow := a.NewReader(ReaderOptions{})
	quick := a.NewReader(ReaderOptions{})
	drain(t, quick)
	now = now.Add(lookEvery)
	a.frame(now, idr)
	frames(5)
	drain(t, quick)
	require.Equal(t, 12, a.Stats().RingChunks, "what a slow viewer has not taken")
	chunks, _ := drain(t, slow)
	require.Len(t, chunks, 12)
	require.Zero(t, slow.Stats().Jumps)
	now = now.Add(lookEvery)
	a.frame(now, idr)
	require.Equal(t, 1, a.Stats().RingChunks)

	slow.Close()
	slow.Close()
	quick.Close()
	frames(3)
	a.frame(now.Add(lookEvery), idr)
	require.Equal(t, 1, a.Stats().RingChunks, "nothing for one that is closed")
	slow.Open()
	slow.Open()
	chunks, _ = drain(t, slow)
	require.Len(t, chunks, 1)
	require.EqualValues(t, 1, slow.Stats().Jumps, "its place was gone")
}

func TestReaderLimits(t *testing.T) {
	for name, opts := range map[string]ReaderOptions{
		"bytes": {MaxBytes: 300},
		"time":  {MaxTime: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAV(t, Options{})
			now := epoch
			frames := func(kind []byte, n int) {
				for range n {
					now = now.Add(100 * time.Millisecond)
					a.frame(now, kind)
				}
			}
			frames(idr, 1)
			frames(slice, 40)
			jumps := a.NewReader(opts)
			opts.Policy = PolicyClose
			closes := a.NewReader(opts)
			frames(slice, 5)
			for _, r := range []*Reader{jumps, closes} {
				chunks, state := drain(t, r)
				require.Len(t, chunks, 46, "what was there before it began does not count")
				require.Equal(t, StateWait, state)
			}

			frames(slice, 20)
			for range 20 {
				_, state := closes.Next()
				require.Equal(t, StateBehind, state)
			}
			_, state := jumps.Next()
			require.Equal(t, StateWait, state, "for the next key frame, although the ring holds all")
			frames(idr, 1)
			frames(slice, 2)
			chunks, _ := drain(t, jumps)
			require.Len(t, chunks, 3)
			require.EqualValues(t, 1, jumps.Stats().Jumps)
			require.EqualValues(t, 20, jumps.Stats().Dropped)
		})
	}
}

func TestAttach(t *testing.T) {
	a := newAV(t, Options{})
	former := a.video.w
	_, _, err := a.Attach([]*media.Track{videoTrack(t)})
	require.ErrorIs(t, err, ErrTracks)
	require.ErrorContains(t, err, "lacks the audio track (mpeg4-generic)")
	_, _, err = a.Attach([]*media.Track{videoTrack(t), audioTrack(t), audioTrack(t)})
	require.ErrorIs(t, err, ErrTracks)
	a.frame(epoch, idr) // the former writer is still the one

	w, mapping, err := a.Attach([]*media.Track{nil, audioTrack(t), newTestTrack(t, &format.H264{PayloadTyp: 120})})
	require.NoError(t, err)
	require.Equal(t, []int{-1, 1, 0}, mapping)
	require.ErrorIs(t, former.WriteRTP(0, epoch, rtpPacket(96, true, 1, 1, 1, idr)), ErrDetached)
	former.WriteRTCP(0, epoch, nil)
	former.Flush(epoch)
	former.Close()
	require.NoError(t, w.WriteRTP(0, epoch, rtpPacket(120, true, 1, 1, 1, idr)))
	require.ErrorIs(t, w.WriteRTP(2, epoch, nil), ErrTrack)
	require.ErrorIs(t, w.WriteRTP(-1, epoch, nil), ErrTrack)

	r := a.NewReader(ReaderOptions{})
	w.Close()
	w.Close()
	require.ErrorIs(t, w.WriteRTP(0, epoch, rtpPacket(120, true, 2, 1, 1, idr)), ErrDetached)
	a.Close()
	a.Close()
	chunks, state := drain(t, r)
	require.Len(t, chunks, 1)
	require.Equal(t, StateClosed, state)
	_, _, err = a.Attach(a.Tracks())
	require.ErrorIs(t, err, ErrDetached)
	require.Zero(t, a.SSRC(9))
	require.Zero(t, a.TrackStats(9))
}

func TestStreamContinuesOverPublishers(t *testing.T) {
	a := newAV(t, Options{})
	r := a.NewReader(ReaderOptions{})
	now := epoch
	a.frame(now, idr)
	a.frame(now.Add(33*time.Millisecond), slice)
	a.sound(now)
	chunks, _ := drain(t, r)

	now = now.Add(2 * time.Second)
	a.attach(t)
	a.video.seq, a.video.ts, a.video.ssrc = 40000, 0xffff_fff0, 99
	require.Equal(t, StateWait, func() State { _, s := a.NewReader(ReaderOptions{}).Next(); return s }(), "a new reader waits for the new publisher's key frame")
	a.sound(now)
	a.frame(now, slice)
	a.frame(now.Add(33*time.Millisecond), idr)
	a.frame(now.Add(66*time.Millisecond), slice)

	more, _ := drain(t, r)
	chunks = append(chunks, more...)
	var video []got
	for _, c := range chunks {
		for _, g := range c {
			if g.track == 0 {
				video = append(video, g)
			}
		}
	}
	require.Len(t, video, 4, "the picture that cannot be decoded is left out")
	require.Equal(t, uint16(2), video[2].seq-video[1].seq, "by a counted jump")
	require.EqualValues(t, 1, r.Stats().Jumps)
	require.Equal(t, idr, video[2].payload)
	require.Equal(t, video[0].ssrc, video[2].ssrc)
	require.InDelta(t, 2*90000, int32(video[2].ts-video[1].ts), 4000, "time went on while nobody published")
	require.EqualValues(t, 3000, video[3].ts-video[2].ts)
	require.EqualValues(t, 2, a.Stats().Restarts, "one a track")
}

func TestSourceRestarts(t *testing.T) {
	type packet struct {
		after time.Duration
		seq   uint16
		ts    uint32
		ssrc  uint32
	}
	for _, c := range []struct {
		name     string
		packets  []packet
		seqs     []uint16 // relative to the first
		lastTS   int      // relative to the first, ±100
		restarts uint64
		dropped  uint64
	}{
		{"plain, over both wraps", []packet{{0, 65535, 0xffff_ffff, 1}, {40e6, 0, 3599, 1}}, []uint16{0, 1}, 3600, 0, 0},
		{"loss stays visible", []packet{{0, 10, 0, 1}, {40e6, 13, 3600, 1}}, []uint16{0, 3}, 3600, 0, 0},
		{"late and double ones are left out", []packet{{0, 10, 0, 1}, {0, 12, 3600, 1}, {0, 11, 3600, 1}, {0, 12, 3600, 1}, {0, 13, 7200, 1}}, []uint16{0, 2, 3}, 7200, 0, 2},
		{"jump in sequence, believed at the second packet", []packet{{0, 10, 0, 1}, {40e6, 30000, 3600, 1}, {40e6, 30001, 7200, 1}}, []uint16{0, 1}, 7200, 1, 1},
		{"another ssrc, believed at the second packet", []packet{{0, 10, 0, 1}, {40e6, 500, 99, 2}, {40e6, 501, 3699, 2}}, []uint16{0, 1}, 7200, 1, 1},
		{"a stray packet of another ssrc", []packet{{0, 10, 0, 1}, {40e6, 500, 99, 2}, {0, 11, 3600, 1}, {0, 501, 99, 2}, {0, 12, 7200, 1}}, []uint16{0, 1, 2}, 7200, 0, 2},
		{"another ssrc after silence", []packet{{0, 10, 0, 1}, {1e9, 500, 99, 2}}, []uint16{0, 1}, 90000, 1, 0},
		{"time set anew", []packet{{0, 10, 0, 1}, {40e6, 11, 5_000_000, 1}, {40e6, 12, 5_003_600, 1}}, []uint16{0, 1, 2}, 7200, 1, 0},
		{"time set back", []packet{{0, 10, 5_000_000, 1}, {40e6, 11, 0, 1}}, []uint16{0, 1}, 3600, 1, 0},
		{"silence is no jump", []packet{{0, 10, 0, 1}, {30e9, 11, 2_700_000, 1}}, []uint16{0, 1}, 2_700_000, 0, 0},
		{"late delivery is no jump", []packet{{0, 10, 0, 1}, {30e9, 11, 3600, 1}}, []uint16{0, 1}, 3600, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := New([]*media.Track{newTestTrack(t, &format.VP8{PayloadTyp: 96})}, Options{})
			w, _, err := h.Attach(h.Tracks())
			require.NoError(t, err)
			r := h.NewReader(ReaderOptions{})
			now := epoch
			var out []got
			for _, p := range c.packets {
				now = now.Add(p.after)
				require.NoError(t, w.WriteRTP(0, now, rtpPacket(96, true, p.seq, p.ts, p.ssrc, []byte{1})))
				chunks, _ := drain(t, r)
				for _, ch := range chunks {
					out = append(out, ch...)
				}
			}
			var seqs []uint16
			for _, g := range out {
				seqs = append(seqs, g.seq-out[0].seq)
			}
			require.Equal(t, c.seqs, seqs)
			require.InDelta(t, c.lastTS, int32(out[len(out)-1].ts-out[0].ts), 100)
			require.Equal(t, c.restarts, h.Stats().Restarts)
			require.Equal(t, c.dropped, h.Stats().Dropped)
		})
	}
}

func TestBadPackets(t *testing.T) {
	a := newAV(t, Options{})
	good := rtpPacket(96, true, 1, 1, 1, idr)
	for name, pkt := range map[string][]byte{
		"empty":                    {},
		"short":                    good[:11],
		"version":                  append([]byte{0x40}, good[1:]...),
		"csrc past the end":        append([]byte{0x8f}, good[1:]...),
		"extension past the end":   append([]byte{0x90}, append(good[1:12:12], 0xbe, 0xde, 0, 9)...),
		"extension header cut off": append([]byte{0x90}, append(good[1:12:12], 0xbe)...),
		"padding past the end":     append([]byte{0xa0}, append(good[1:len(good):len(good)], 200)...),
		"padding of zero":          append([]byte{0xa0}, append(good[1:len(good):len(good)], 0)...),
		"padding without payload":  append([]byte{0xa0}, good[1:12]...),
		"too large":                make([]byte, maxPacket+1),
	} {
		require.ErrorIs(t, a.video.w.WriteRTP(0, epoch, pkt), ErrPacket, name)
	}
	require.ErrorIs(t, a.video.w.WriteRTP(0, epoch, rtpPacket(72, true, 1, 1, 1, idr)), ErrPayloadType)
	require.EqualValues(t, 11, a.Stats().Dropped)
	require.Zero(t, a.Stats().Chunks)

	with := append([]byte{0xb1}, good[1:12]...)         // padding, extension, one CSRC
	with = append(with, 0, 0, 0, 7, 0xbe, 0xde, 0, 1)   // CSRC, extension of one word
	with = append(with, 1, 2, 3, 4, 0x65, 0x88, 0, 0x2) // the word, an IDR, padding
	require.NoError(t, a.video.w.WriteRTP(0, epoch, with))
	require.EqualValues(t, 1, a.TrackStats(0).KeyFrames)

	huge := rtpPacket(96, true, 2, 1, 1, make([]byte, maxPacket-media.RTPHeaderSize))
	require.NoError(t, a.video.w.WriteRTP(0, epoch, huge), "the largest that fits")
	require.EqualValues(t, 2, a.Stats().Chunks)
}
