package remux

import (
	"time"

	"berth/media"
)

// keep puts a frame aside until its track is attached.
func (a *Assembler) keep(now time.Time, e *elementary, f *media.Frame) {
	n := a.kept.count(e)
	if f.Codec.Kind() == media.KindVideo && (n == 0 || e.waitKey) {
		since := e.heard
		if e.waitKey {
			since = e.waitSince
		}
		if !e.opens(f, now.Sub(since)) {
			a.stats.Waited++
			return
		}
		e.opened(f)
	}
	a.kept.add(e, now, e.opens(f, 0), f)
	if n+1 > a.opts.UnreadyFrames {
		if e == a.video {
			a.stats.Dropped += uint64(a.kept.dropBefore(e))
		} else {
			a.stats.Dropped += uint64(a.kept.dropOldest(e))
		}
	}
	for a.kept.bytes > a.opts.KeepBytes {
		gone := 0
		if a.video != nil {
			gone = a.kept.dropBefore(a.video)
		}
		if gone == 0 {
			gone = a.kept.dropOldest(a.kept.frames[0].of)
		}
		a.stats.Dropped += uint64(gone)
	}
}

// decide calls Ready when there is nothing left to wait for.
func (a *Assembler) decide(now time.Time) {
	if a.phase != probing || !a.video.described() && !a.audio.described() {
		return
	}
	for _, kind := range []media.Kind{media.KindVideo, media.KindAudio} {
		if a.wants(kind) && now.Before(a.deadline(kind)) {
			return
		}
	}
	a.makeOffer(now)
}

// deadline returns until when a kind of track is waited for; the zero time when it is described.
func (a *Assembler) deadline(kind media.Kind) time.Time {
	e := a.video
	if kind == media.KindAudio {
		e = a.audio
	}
	switch {
	case e.described():
		return time.Time{}
	case e != nil:
		return e.heard.Add(max(a.opts.WaitTrackReady, 0))
	case a.announces(kind) && kind == media.KindAudio:
		return a.since.Add(max(a.opts.WaitAudioData, 0))
	case a.mapped && !a.announces(kind):
		return a.since.Add(max(min(a.opts.WaitAddTrack, a.opts.WaitAudioData), 0))
	}
	return a.since.Add(max(a.opts.WaitAddTrack, 0))
}

func (a *Assembler) announces(kind media.Kind) bool {
	for _, e := range a.streams {
		if e.announced && e.codec.Kind() == kind && packable(e.codec) {
			return true
		}
	}
	return false
}

// makeOffer describes the tracks and calls Ready, unless they continue those that are attached.
func (a *Assembler) makeOffer(now time.Time) {
	var offer []*elementary
	var tracks []*media.Track
	for _, e := range []*elementary{a.video, a.audio} {
		if !e.described() {
			continue
		}
		t, err := e.track()
		if err == nil {
			err = a.equip(e, t)
		}
		if err != nil {
			a.stats.Ignored++ // described, packable and yet no track: it cannot be, and would cost the track alone
			continue
		}
		offer, tracks = append(offer, e), append(tracks, t)
	}
	if len(offer) == 0 {
		return
	}
	continued := a.numbers != nil && continues(a.tracks, tracks)
	a.offer, a.tracks, a.offerAt, a.phase = offer, tracks, now, offered
	if continued {
		a.Attached(a.numbers)
		return
	}
	a.numbers = nil
	a.stats.Offers++
	a.opts.Ready(tracks)
}

// continues reports whether the packets of b can go on in the tracks a.
func continues(a, b []*media.Track) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !media.Compatible(a[i], b[i]) {
			return false
		}
	}
	return true
}

// equip gives a stream what it needs to make packets of a track. A track that goes on keeps its numbers.
func (a *Assembler) equip(e *elementary, t *media.Track) error {
	e.offered, e.number = e.version, -1
	if e.pack != nil && media.Compatible(e.pack.opts.Track, t) {
		return nil
	}
	mtu := a.opts.AudioMTU
	if t.Kind == media.KindVideo {
		mtu = a.opts.VideoMTU
	}
	pack, err := NewPacketizer(PacketizerOptions{
		Track: t, MTU: mtu, SSRC: a.opts.Rand(), Seq: uint16(a.opts.Rand()),
		Emit: func(pkt []byte) { a.opts.Write(e.number, a.now, pkt) },
	})
	if err != nil {
		return err
	}
	e.pack, e.base = pack, a.opts.Rand()
	return nil
}

// Attached answers Ready: the numbers are those of the hub's tracks, in the order of Ready's, -1 for a track that is not taken. What was kept is written, and all that comes from here on. It does
// nothing when no answer is due; the answer to a Ready that has been followed by another must not be given.
func (a *Assembler) Attached(hubTracks []int) {
	if a.phase != offered {
		return
	}
	a.phase, a.numbers = running, hubTracks
	for i, e := range a.offer {
		e.number = -1
		if i < len(hubTracks) {
			e.number = hubTracks[i]
		}
		e.nextSR = time.Time{}
		if e == a.video && a.kept.count(e) == 0 && !e.waitKey {
			e.waitKey, e.waitSince = true, a.now
		}
	}
	frames, at := a.kept.frames, a.now
	a.kept.clear()
	for i := range frames {
		if k := &frames[i]; k.of.number >= 0 {
			a.now = k.at
			a.write(k.at, k.of, &k.frame)
		}
	}
	a.now = at
}

// restart begins anew with finding out what there is. What has not come before is not waited for again.
func (a *Assembler) restart() {
	a.phase = probing
	a.kept.clear()
	for _, e := range a.streams {
		e.number = -1
	}
}

// changed reports whether a frame cannot go on in the track as it was described: then a new offer is made, from this frame on.
func (a *Assembler) changed(now time.Time, e *elementary, f *media.Frame) bool {
	late := e.number < 0 && e == a.video && !a.has(media.KindVideo) && e.described()
	if !late && (e.number < 0 || e.version == e.offered) {
		return false
	}
	if !e.opens(f, 0) || now.Sub(a.offerAt) < offerDistance {
		return false
	}
	a.restart()
	return true
}

// has reports whether a kind is among the tracks of the last offer.
func (a *Assembler) has(kind media.Kind) bool {
	for _, t := range a.tracks {
		if t.Kind == kind {
			return true
		}
	}
	return false
}

// passOn writes a frame of a track that is attached. Sound that comes after the stream was published without it is left out: its viewers would lose the picture for it.
func (a *Assembler) passOn(now time.Time, e *elementary, f *media.Frame) {
	if e.number < 0 {
		a.stats.Ignored++
		return
	}
	if e.waitKey {
		if !e.opens(f, now.Sub(e.waitSince)) {
			a.stats.Waited++
			return
		}
		e.opened(f)
	}
	a.write(now, e, f)
}

// write makes the packets of a frame.
func (a *Assembler) write(now time.Time, e *elementary, f *media.Frame) {
	if a.epoch.IsZero() {
		a.epoch = now
	}
	ticks := a.place(now, e, f)
	timestamp := e.base + uint32(ticks)
	if !now.Before(e.nextSR) {
		e.nextSR = now.Add(reportInterval)
		at := a.epoch.Add(e.pack.opts.Track.ClockRate.Duration(ticks))
		a.reportBuf = appendReport(a.reportBuf[:0], e.pack.SSRC(), at, timestamp, e.pack.Stats())
		a.opts.WriteRTCP(e.number, now, a.reportBuf)
	}
	a.stats.Frames++
	e.pack.WriteAt(timestamp, f)
}
