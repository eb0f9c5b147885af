package remux

import (
	"math/rand/v2"
	"slices"
	"time"

	"berth/media"
)

// Bounds that are not for configuration.
const (
	maxElementaries = 16               // streams of a container that are told apart; others are ignored
	switchSilence   = 3 * time.Second  // a second stream of the same kind takes over from one that has been silent for so long
	anewSilence     = time.Second / 2  // and when the source has begun anew since, after so long
	keyPatience     = 10 * time.Second // of a stream without key frames, as in DepacketizerOptions.KeyPatience
	offerDistance   = 5 * time.Second  // least distance of two calls of Ready after changes; in between parameter sets pass on in band
	reportInterval  = 5 * time.Second  // of sender reports
)

// Elementary is a stream of a container, as its map announces it.
type Elementary struct {
	ID    int         // stream_id or PID, or whatever tells the source's streams apart
	Codec media.Codec // CodecUnknown where the map does not say
}

// AssemblerOptions sets an [Assembler]'s rules. In the waits 0 means the default and a negative value that nothing is waited for.
type AssemblerOptions struct {
	// OnlyTrack takes all of the stream (0), audio alone (1) or video alone (2).
	OnlyTrack int
	// NoAudio leaves audio out (`protocol.enable_audio` = 0).
	NoAudio bool
	// WaitTrackReady is how long a stream that is heard may take until it is known how to describe it (`general.wait_track_ready_ms`). Default 10 s.
	WaitTrackReady time.Duration
	// WaitAudioData is how long audio that is announced may take to come (`general.wait_audio_track_data_ms`). Default 1 s.
	WaitAudioData time.Duration
	// WaitAddTrack is how long a second track is waited for that nobody has announced (`general.wait_add_track_ms`). Default 3 s; no longer than WaitAudioData where a map says that there is none.
	WaitAddTrack time.Duration
	// UnreadyFrames bounds the frames that are kept of each track until it can be published (`general.unready_frame_cache`). Default 100. Video begins at a key frame; what is before the latest
	// one goes first.
	UnreadyFrames int
	// KeepBytes bounds all that is kept. Default 4 MiB.
	KeepBytes int
	// VideoMTU and AudioMTU are the most bytes of an RTP packet (`rtp.videoMtuSize`, `rtp.audioMtuSize`). Default [DefaultVideoMTU] and [DefaultAudioMTU].
	VideoMTU, AudioMTU int
	// PassDamage passes pictures on after a hole although they refer to what is missing. Default: they wait for the next key frame.
	PassDamage bool
	// Ready is called when it is known what the stream consists of, video first: the caller publishes these tracks and answers with [Assembler.Attached], within the call or later. It is called again
	// when the source changes to what the former tracks cannot carry. Required.
	Ready func(tracks []*media.Track)
	// Write takes the RTP packets of a track, in the numbers that Attached gave; pkt is valid until it returns. now is when the frame came. Required.
	Write func(track int, now time.Time, pkt []byte)
	// WriteRTCP takes sender reports in the same way, by which viewers line up sound and picture: one with the first packet of each track, and every 5 s. Required.
	WriteRTCP func(track int, now time.Time, pkt []byte)
	// Rand returns random numbers for SSRCs, sequence numbers and timestamps. Default math/rand/v2.
	Rand func() uint32
}

// AssemblerStats are counters since the construction.
type AssemblerStats struct {
	Frames   uint64 // passed on
	Dropped  uint64 // of those kept, given up because there were too many
	Waited   uint64 // video that came where a key frame has to come first
	Ignored  uint64 // of streams that are not wanted, that nobody can pack, or that came too late
	Restarts uint64 // times that a track's timestamps jumped and were mapped anew
	Offers   uint64 // calls of Ready
}

// phase of an Assembler.
type phase uint8

const (
	probing phase = iota // finding out what there is
	offered              // Ready has been called
	running              // Attached
	ended
)

// Assembler makes the packets of a stream from the frames of a source that does not speak RTP track by track. See the package comment.
type Assembler struct {
	opts      AssemblerOptions
	phase     phase
	streams   []*elementary
	video     *elementary // the one that is taken; nil before there is one
	audio     *elementary
	mapped    bool      // the container has announced its streams
	since     time.Time // arrival of the first frame that is wanted
	offerAt   time.Time
	offer     []*elementary  // tracks of the last Ready, in order
	tracks    []*media.Track // the same as they were described
	numbers   []int          // as Attached gave them; nil before
	kept      queue
	epoch     time.Time // instant of media time zero
	now       time.Time // arrival of the frame in work
	reportBuf []byte
	stats     AssemblerStats
}

// NewAssembler returns an Assembler that waits for the first frame.
func NewAssembler(opts AssemblerOptions) *Assembler {
	for _, w := range []struct {
		of  *time.Duration
		def time.Duration
	}{{&opts.WaitTrackReady, 10 * time.Second}, {&opts.WaitAudioData, time.Second}, {&opts.WaitAddTrack, 3 * time.Second}} {
		if *w.of == 0 {
			*w.of = w.def
		}
	}
	if opts.UnreadyFrames <= 0 {
		opts.UnreadyFrames = 100
	}
	if opts.KeepBytes <= 0 {
		opts.KeepBytes = 4 << 20
	}
	if opts.Rand == nil {
		opts.Rand = rand.Uint32
	}
	return &Assembler{opts: opts}
}

// Stats returns the counters.
func (a *Assembler) Stats() AssemblerStats { return a.stats }

// Running reports whether frames are passed on as they come.
func (a *Assembler) Running() bool { return a.phase == running }

// Announce says which streams the container's map names, each time that it has changed. Maps are often wrong: what comes without being announced is taken all the same.
func (a *Assembler) Announce(streams []Elementary) {
	if a.phase == ended {
		return
	}
	a.mapped = true
	for _, e := range a.streams {
		e.announced = false
	}
	for _, s := range streams {
		e := a.stream(s.ID, s.Codec)
		if e == nil {
			continue
		}
		e.announced = true
		if e.heard.IsZero() {
			e.codec = s.Codec
		}
	}
}

// stream returns the state of a source's stream; nil when there are too many.
func (a *Assembler) stream(id int, codec media.Codec) *elementary {
	for _, e := range a.streams {
		if e.id == id {
			return e
		}
	}
	if len(a.streams) == maxElementaries && !a.evict() {
		return nil
	}
	e := &elementary{id: id, codec: codec, number: -1}
	a.streams = append(a.streams, e)
	return e
}

// evict makes room by forgetting the stream that was heard longest ago, of those that are neither taken nor announced: a source may name its streams anew each time that it begins.
func (a *Assembler) evict() bool {
	at := -1
	for i, e := range a.streams {
		if e != a.video && e != a.audio && !e.announced && (at < 0 || e.last.Before(a.streams[at].last)) {
			at = i
		}
	}
	if at < 0 {
		return false
	}
	a.kept.remove(a.streams[at])
	a.streams = slices.Delete(a.streams, at, at+1)
	return true
}

// Frame takes the next frame of one of the source's streams. f may be reused after the return.
func (a *Assembler) Frame(now time.Time, stream int, f *media.Frame) {
	if a.phase == ended {
		return
	}
	e := a.admit(now, stream, f)
	if e == nil {
		a.stats.Ignored++
		return
	}
	a.now = now
	if a.since.IsZero() {
		a.since = now
	}
	e.learn(f)
	if a.phase == running {
		if !a.changed(now, e, f) {
			a.passOn(now, e, f)
			return
		}
	}
	a.keep(now, e, f)
	a.decide(now)
}

// admit finds the stream that a frame belongs to, nil when it is not wanted.
func (a *Assembler) admit(now time.Time, id int, f *media.Frame) *elementary {
	kind := f.Codec.Kind()
	if len(f.Payload) == 0 || !a.wants(kind) || !packable(f.Codec) {
		return nil
	}
	e := a.stream(id, f.Codec)
	if e == nil {
		return nil
	}
	chosen := &a.video
	if kind == media.KindAudio {
		chosen = &a.audio
	}
	if *chosen != e {
		if *chosen != nil && now.Sub((*chosen).last) < switchSilence {
			return nil
		}
		if *chosen != nil {
			a.restart()
			e.clock = (*chosen).clock
		}
		*chosen = e
	}
	if e.codec != f.Codec {
		a.turn(e, f.Codec)
	}
	if e.heard.IsZero() {
		e.heard = now
	}
	e.last = now
	return e
}

// turn makes a stream carry another codec than it did, or than was announced.
func (a *Assembler) turn(e *elementary, codec media.Codec) {
	if e.described() {
		a.restart()
	}
	if a.video == e && codec.Kind() == media.KindAudio {
		a.video = nil
	}
	if a.audio == e && codec.Kind() == media.KindVideo {
		a.audio = nil
	}
	a.kept.remove(e)
	*e = elementary{id: e.id, codec: codec, number: -1, announced: e.announced, clock: e.clock}
}

// wants reports whether a kind of track belongs to the stream.
func (a *Assembler) wants(kind media.Kind) bool {
	switch kind {
	case media.KindVideo:
		return a.opts.OnlyTrack != 1
	case media.KindAudio:
		return a.opts.OnlyTrack != 2 && !a.opts.NoAudio
	}
	return false
}

// Gap says that bytes of the source are missing before the next frame: video waits for a key frame.
func (a *Assembler) Gap(now time.Time) {
	if v := a.video; v != nil && !a.opts.PassDamage && !v.waitKey && !v.keyless {
		v.waitKey, v.waitSince = true, now
	}
}

// Anew says that the source begins anew before the next frame, and may name its streams otherwise from there on: those which do not come again soon give way to others. It is a Gap, too.
func (a *Assembler) Anew(now time.Time) {
	for _, e := range []*elementary{a.video, a.audio} {
		if early := now.Add(anewSilence - switchSilence); e != nil && e.last.After(early) {
			e.last = early
		}
	}
	a.Gap(now)
}

// Tick lets waits end when no frames come. Call it about every 100 ms until Ready.
func (a *Assembler) Tick(now time.Time) {
	if a.phase == probing {
		a.decide(now)
	}
}

// Close drops what is kept; nothing is called back after it.
func (a *Assembler) Close() {
	a.phase = ended
	a.streams, a.video, a.audio, a.offer, a.tracks = nil, nil, nil, nil, nil
	a.kept.clear()
}
