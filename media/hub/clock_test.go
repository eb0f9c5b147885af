package hub

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media"
)

// senderReport makes the source's report; its wall clock is its own.
func senderReport(ssrc uint32, wall time.Time, rtp uint32) []byte {
	b := make([]byte, senderSize)
	b[0], b[1], b[3] = 0x80, rtcpSR, senderSize/4-1
	binary.BigEndian.PutUint32(b[4:], ssrc)
	binary.BigEndian.PutUint64(b[8:], ntpStamp(wall))
	binary.BigEndian.PutUint32(b[16:], rtp)
	return b
}

// reports returns the sender reports of a track that a reader gets.
func reports(t *testing.T, r *Reader, track int) (ntp []time.Time, rtp []uint32) {
	t.Helper()
	for {
		c, st := r.Next()
		if st != StateReady {
			return ntp, rtp
		}
		for _, g := range unpack(t, c) {
			if !g.rtcp || g.track != track {
				continue
			}
			ssrc, n, ts, ok := parseSR(g.payload)
			require.True(t, ok)
			require.Equal(t, r.hub.SSRC(track), ssrc)
			require.Equal(t, byte(rtcpSDES), g.payload[senderSize+1])
			require.Zero(t, len(g.payload)%4)
			require.Len(t, g.payload, senderSize+4*(1+int(binary.BigEndian.Uint16(g.payload[senderSize+2:]))))
			require.Equal(t, r.hub.opts.CNAME, string(g.payload[senderSize+10:senderSize+10+int(g.payload[senderSize+9])]))
			ntp, rtp = append(ntp, ntpTime(n)), append(rtp, ts)
		}
	}
}

// Sound is delivered 300 ms later than the picture of the same instant. The source's reports say so; viewers must learn it.
func TestReportsCarryTheSourcesLipSync(t *testing.T) {
	a := newAV(t, Options{})
	video := a.NewReader(ReaderOptions{Tracks: []int{0}})
	sourceClock := -40 * 365 * 24 * time.Hour // never set
	v0, s0 := a.video.ts, a.audio.ts
	a.video.w.WriteRTCP(0, epoch, senderReport(11, epoch.Add(sourceClock), v0)) // before the first packet
	for i := range 300 {
		now := epoch.Add(time.Duration(i) * 40 * time.Millisecond)
		a.video.ts = v0 + uint32(i*3600)
		a.video.send(now, true, slice)
		if i == 0 {
			a.video.ts = v0
			a.video.send(now, true, idr)
		}
		a.audio.ts = s0 + uint32(i*1920)
		a.audio.send(now.Add(300*time.Millisecond), true, sound)
		if i%50 == 10 {
			a.video.w.WriteRTCP(0, now, senderReport(11, now.Add(sourceClock), a.video.ts))
			a.audio.w.WriteRTCP(1, now.Add(300*time.Millisecond), senderReport(22, now.Add(sourceClock), a.audio.ts))
			a.audio.w.WriteRTCP(1, now, senderReport(77, now, 0)) // a stranger's
		}
	}
	h := a.Hub
	require.True(t, h.reporting)
	at := epoch.Add(10 * time.Second)
	wantVideo := v0 + h.state[0].source.tsOffset + 90000*10
	wantAudio := s0 + h.state[1].source.tsOffset + 48000*10
	require.InDelta(t, 0, int32(h.state[0].time.rtpAt(at)-wantVideo), 900)
	require.InDelta(t, 0, int32(h.state[1].time.rtpAt(at)-wantAudio), 480, "10 ms")

	ntp, rtp := reports(t, video, 0)
	require.GreaterOrEqual(t, len(ntp), 2)
	for i := 1; i < len(ntp); i++ {
		span := ntp[i].Sub(ntp[i-1])
		require.InDelta(t, 5.0, span.Seconds(), 0.5)
		require.InDelta(t, span.Seconds()*90000, float64(rtp[i]-rtp[i-1]), 460, "no step longer than the slew")
	}
}

// A source that never reports gets reports from arrival times, after patience, and without steps although its clock is fast.
func TestReportsWithoutTheSources(t *testing.T) {
	a := newAV(t, Options{})
	all := a.NewReader(ReaderOptions{})
	var ntp []time.Time
	var rtp []uint32
	for i := range 2500 {
		now := epoch.Add(time.Duration(i) * 40 * time.Millisecond)
		a.video.send(now, true, idr)
		a.video.ts += 3601
		a.sound(now)
		n, r := reports(t, all, 0)
		ntp, rtp = append(ntp, n...), append(rtp, r...)
	}
	require.NotEmpty(t, ntp)
	require.InDelta(t, reportPatience.Seconds(), ntp[0].Sub(epoch).Seconds(), 0.1)
	for i := 1; i < len(ntp); i++ {
		span := ntp[i].Sub(ntp[i-1])
		require.InDelta(t, span.Seconds()*90000, float64(rtp[i]-rtp[i-1]), 460)
	}
	newest := a.state[0].lastTS
	require.InDelta(t, 0, int32(a.state[0].time.rtpAt(epoch.Add(100*time.Second))-newest), 9000, "the drift is followed")
}

func TestKeyFrameHastensReports(t *testing.T) {
	a := newAV(t, Options{})
	r := a.NewReader(ReaderOptions{Tracks: []int{0}})
	a.video.w.WriteRTCP(0, epoch, senderReport(11, epoch, a.video.ts))
	a.audio.w.WriteRTCP(1, epoch, senderReport(22, epoch, a.audio.ts))
	a.sound(epoch)
	var ntp []time.Time
	for _, f := range []struct {
		at      time.Duration
		payload []byte
	}{{0, idr}, {400 * time.Millisecond, slice}, {600 * time.Millisecond, idr}, {700 * time.Millisecond, idr}, {2200 * time.Millisecond, slice}} {
		a.frame(epoch.Add(f.at), f.payload)
		n, _ := reports(t, r, 0)
		ntp = append(ntp, n...)
	}
	require.Len(t, ntp, 3, "at the first, the third, and half a second after that")
}

func TestStartNamesOneInstant(t *testing.T) {
	a := newAV(t, Options{})
	s0, v0 := a.audio.ts, a.video.ts
	for i := range 50 {
		now := epoch.Add(time.Duration(i) * 20 * time.Millisecond)
		a.audio.ts = s0 + uint32(i*960)
		a.audio.send(now, true, sound)
		if i%2 == 1 {
			a.video.ts = v0 + uint32(i*1800)
			payload := slice
			if i == 25 {
				payload = idr
			}
			a.video.send(now, true, payload)
		}
	}
	r := a.NewReader(ReaderOptions{})
	start := r.Start()
	require.Len(t, start, 2)
	chunks, _ := drain(t, r)
	var first [2]*got
	for _, c := range chunks {
		for _, g := range c {
			if first[g.track] == nil {
				first[g.track] = &g
			}
		}
	}
	require.Equal(t, TrackStart{Track: 0, Seq: first[0].seq, RTPTime: first[0].ts, Known: true}, start[0])
	require.Equal(t, first[1].seq, start[1].Seq)
	require.True(t, start[1].Known)
	require.InDelta(t, -960, int32(start[1].RTPTime-first[1].ts), 20, "the instant of the key frame, 20 ms before the first sound that is sent")

	only := a.NewReader(ReaderOptions{Tracks: []int{1}})
	require.Len(t, only.Start(), 1)
	require.Equal(t, 1, only.Start()[0].Track)
}

func TestTimelineLimits(t *testing.T) {
	tl := timeline{rate: 90000}
	tl.anchor(0, epoch)
	tl.move(time.Second)
	require.Equal(t, epoch.Add(time.Second), tl.wall)
	tl.locked = true
	tl.move(-time.Second)
	require.Equal(t, epoch.Add(time.Second-maxSlew), tl.wall)
	before := tl.at(5400001)
	tl.heard(5400001, epoch, true)
	require.EqualValues(t, 5400001, tl.rtp, "the reference moves along")
	require.Equal(t, before, tl.at(5400001))
	require.Equal(t, uint32(5400001)+90000, tl.rtpAt(before.Add(time.Second)))

	for _, at := range []time.Time{epoch, time.Unix(0, 0), time.Unix(ntpEpoch, 5)} {
		require.InDelta(t, 0, ntpTime(ntpStamp(at)).Sub(at), 1)
	}
}

func TestGradualRefreshStreamsCanBeJoined(t *testing.T) {
	run := func(payloads func(i int) []byte) (first time.Duration) {
		a := newAV(t, Options{})
		r := a.NewReader(ReaderOptions{Tracks: []int{0}})
		for i := range 800 {
			now := time.Duration(i) * 40 * time.Millisecond
			a.frame(epoch.Add(now), payloads(i))
			if _, st := r.Next(); st == StateReady {
				return now
			}
		}
		return -1
	}
	withParams := append([]byte{0x78, 0, 2}, append(append([]byte{}, sps...), 0, 5, 0x41, 0x9a, 1, 2, 3)...)
	require.Equal(t, firstKeyPatience, run(func(i int) []byte {
		if i%25 == 0 {
			return withParams
		}
		return slice
	}))
	require.Equal(t, anyPatience, run(func(int) []byte { return slice }))

	a := newAV(t, Options{})
	for i := range 1000 {
		payload := slice
		if i == 0 {
			payload = idr
		}
		a.frame(epoch.Add(time.Duration(i)*40*time.Millisecond), payload)
	}
	require.EqualValues(t, 1, a.TrackStats(0).KeyFrames, "a long group of pictures is no gradual refresh")
}

func TestTrackStats(t *testing.T) {
	a := newAV(t, Options{})
	for i := range 251 {
		now := epoch.Add(time.Duration(i) * 40 * time.Millisecond)
		payload := slice
		if i%50 == 0 {
			payload = idr
		}
		if i%10 == 9 {
			a.video.seq++ // one in ten is lost
		}
		a.frame(now, payload)
	}
	s := a.TrackStats(0)
	require.EqualValues(t, 251, s.Frames)
	require.EqualValues(t, 6, s.KeyFrames)
	require.Equal(t, 50, s.GOPSize)
	require.Equal(t, 2*time.Second, s.GOPInterval)
	require.InDelta(t, 25, s.FPS, 0.1)
	require.EqualValues(t, 25, s.Lost)
	require.InDelta(t, 100.0/11, s.LossPercent, 1)
	require.Equal(t, epoch.Add(10*time.Second), s.LastPacket)
	require.InDelta(t, 0.0, s.Jitter.Seconds(), 0.01)
	require.Equal(t, float64(-1), a.TrackStats(1).LossPercent)
	require.Equal(t, s.LastPacket, a.Stats().LastPacket)
	require.EqualValues(t, 25, a.Stats().Lost)
}

func FuzzWriter(f *testing.F) {
	f.Add(rtpPacket(96, true, 1, 1, 1, idr), senderReport(1, epoch, 5))
	f.Add([]byte{0xb1, 0x60}, []byte{0x80, 200, 0xff, 0xff})
	f.Add([]byte{}, []byte{0x80, 201, 0, 0, 0x80, 200, 0, 6})
	f.Fuzz(func(t *testing.T, rtp, rtcp []byte) {
		h := New([]*media.Track{videoTrack(t)}, Options{})
		w, _, err := h.Attach(h.Tracks())
		require.NoError(t, err)
		r := h.NewReader(ReaderOptions{})
		for i := range 4 {
			now := epoch.Add(time.Duration(i) * 7 * time.Second)
			w.WriteRTCP(0, now, rtcp)
			_ = w.WriteRTP(0, now, rtp)
			_ = w.WriteRTP(0, now, rtpPacket(96, true, uint16(i), 90000*uint32(i), 1, idr))
		}
		h.Close()
		for {
			c, st := r.Next()
			if st != StateReady {
				break
			}
			unpack(t, c)
		}
	})
}
