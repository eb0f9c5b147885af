package remux

import (
	"bytes"
	"slices"

	"berth/media"
	"berth/media/annexb"
)

// Bounds that are not for configuration.
const (
	maxParameterBytes = 16 << 10 // of the parameter sets that are remembered
	keepBytes         = 64 << 10 // a buffer of this size is never given back
	peakFrames        = 256      // after so many frames a buffer is judged by the largest of them
)

// accessUnit collects the NAL units of one picture.
type accessUnit struct {
	kind    func(unit []byte) unitKind
	payload func(d *Depacketizer, payload []byte) bool // false when the payload is broken
	donl    bool                                       // decoding order numbers are present (RFC 7798 section 4.4)

	buf       []byte // as byte stream
	open      bool   // units have come
	ts        uint32
	at        media.Ticks // the same without wrapping
	picture   bool        // picture data has come
	sets      bool        // a sequence parameter set has come
	others    bool        // another parameter set has come
	delimited bool        // its first unit is a delimiter or the like, behind which parameter sets belong
	fragment  bool        // a fragmented unit has begun
	damaged   bool        // to be dropped

	bad     bool   // the last one that was dropped has timestamp badTS; what else comes of it is dropped with it
	badTS   uint32 //
	torn    bool   // packets are missing before the next unit
	done    bool   // the marker has ended a unit with timestamp doneTS
	doneTS  uint32 //
	lies    bool   // the source sets markers inside of access units
	waiting bool   // for a key frame
	keyless bool   // it has been waited for in vain
	waitSet bool
	since   media.Ticks // PTS from which it waits

	params []byte // the latest parameter sets as byte stream
	fresh  []byte // scratch
	order  reorder
	peak   int
	frames int
}

// readVideo sets up for H.264 or H.265.
func (d *Depacketizer) readVideo(payload func(*Depacketizer, []byte) bool, kind func([]byte) unitKind) {
	d.read = (*Depacketizer).readUnits
	d.unit.payload, d.unit.kind = payload, kind
	d.unit.waiting = d.opts.KeyPatience > 0
	d.unit.order.fallback = 3600
	if t := d.opts.Track; t != nil && t.FPS > 0 {
		d.unit.order.fallback = media.Ticks(float64(media.FrameClock) / t.FPS)
	}
}

// describe takes parameter sets from outside of the stream.
func (u *accessUnit) describe(sets ...[]byte) {
	for _, s := range sets {
		if len(s) > 0 {
			u.remember(s)
		}
	}
}

// readUnits takes the payload of one packet.
func (d *Depacketizer) readUnits(payload []byte, marker bool) {
	u := &d.unit
	if u.open && u.ts != d.ts && (u.picture || u.damaged) {
		u.end(d)
	}
	if !u.open {
		u.begin()
		u.bad = u.bad && u.badTS == d.ts
		u.damaged = u.bad
	}
	u.ts, u.at = d.ts, d.ext // parameter sets that came alone belong to the picture after them
	if !u.payload(d, payload) {
		d.stats.Invalid++
		u.damaged = true
	}
	u.torn = false
	if !marker {
		return
	}
	u.picture = u.picture || u.holdsPicture()
	if u.picture && !u.lies || u.damaged {
		u.done, u.doneTS = true, d.ts
		u.end(d)
	}
}

func (u *accessUnit) begin() {
	u.buf = u.buf[:0]
	u.open, u.picture, u.sets, u.others, u.delimited, u.fragment, u.damaged = true, false, false, false, false, false, false
}

// gap drops what is in work; the units after it can only be decoded from a key frame on.
func (u *accessUnit) gap(d *Depacketizer) {
	if u.open {
		u.damaged = true
		u.end(d)
	}
	u.torn, u.done = true, false
	u.wait(d)
}

func (u *accessUnit) wait(d *Depacketizer) {
	if d.opts.KeyPatience > 0 && !u.waiting && !u.keyless {
		u.waiting, u.waitSet = true, false
	}
}

// unit adds a whole NAL unit, or the first fragment of one with the header that it has when it is whole.
func (u *accessUnit) unit(d *Depacketizer, head []byte, body []byte) bool {
	if len(u.buf)+annexb.StartCodeSize+1+len(head)+len(body) > d.opts.FrameBytes {
		return false
	}
	at := len(u.buf)
	u.buf = append(append(append(u.buf, 0, 0, 0, 1), head...), body...)
	unit := u.buf[at+4:]
	kind := u.kind(unit)
	switch kind {
	case unitInvalid:
		u.buf = u.buf[:at]
		return false
	case unitPicture, unitFirst:
		if u.torn && !u.picture && kind != unitFirst {
			u.damaged = true // the slices before it are missing
		}
		if u.done && u.doneTS == u.ts && !u.picture && kind != unitFirst {
			u.lies = true
		}
		u.picture, u.done = true, false
	case unitSPS:
		u.sets = true
	case unitOther:
		u.delimited = u.delimited || at == 0
	case unitVPS, unitPPS:
		u.others = true
	}
	return true
}

// more adds a later fragment.
func (u *accessUnit) more(d *Depacketizer, body []byte) bool {
	if !u.fragment || len(u.buf)+len(body) > d.opts.FrameBytes {
		return false
	}
	u.buf = append(u.buf, body...)
	return true
}

// holdsPicture looks for picture data behind parameter sets in one packet, as some sources send it, with start codes between them.
func (u *accessUnit) holdsPicture() bool {
	for unit, rest := annexb.Next(u.buf); unit != nil; unit, rest = annexb.Next(rest) {
		if k := u.kind(unit); k == unitPicture || k == unitFirst {
			return true
		}
	}
	return false
}

// end emits the access unit if it is whole and can be decoded.
func (u *accessUnit) end(d *Depacketizer) {
	u.open = false
	if u.damaged || u.fragment {
		if !u.bad {
			d.stats.Damaged++
		}
		u.bad, u.badTS, u.fragment = true, u.ts, false
		u.wait(d)
		return
	}
	if len(u.buf) == 0 {
		return
	}
	u.learn()
	pts := d.pts(u.at)
	key := u.picture && annexb.Key(d.codec, u.buf)
	if u.waiting && !key && !u.patienceEnds(d, pts) {
		d.stats.Waited++
		return
	}
	if u.waiting {
		u.waiting, u.keyless = false, !key
		u.order.clear()
	}
	u.keyless = u.keyless && !key
	if key && !u.sets {
		u.prepend()
	}
	dts := u.order.dts(pts)
	d.emit(pts, dts, key, u.buf)
	u.shrink()
}

// patienceEnds says whether a picture has to do although it is no key frame.
func (u *accessUnit) patienceEnds(d *Depacketizer, pts media.Ticks) bool {
	patience := media.FrameClock.Ticks(d.opts.KeyPatience)
	if !u.waitSet || pts < u.since || pts-u.since > 3*patience {
		u.waitSet, u.since = true, pts
		return false
	}
	return u.picture && (u.sets && pts-u.since >= patience || pts-u.since >= 2*patience)
}

// learn remembers the parameter sets of the access unit: all of it where there is a sequence parameter set, as an addition else.
func (u *accessUnit) learn() {
	if !u.sets && !u.others {
		return
	}
	u.fresh = u.fresh[:0]
	for unit, rest := annexb.Next(u.buf); unit != nil; unit, rest = annexb.Next(rest) {
		k := u.kind(unit)
		if k == unitPicture || k == unitFirst {
			break // sets stand before the picture
		}
		if k == unitOther || k == unitInvalid || len(u.fresh)+len(unit) > maxParameterBytes {
			continue
		}
		if u.sets {
			u.fresh = annexb.Append(u.fresh, unit)
			continue
		}
		u.remember(unit)
	}
	if u.sets && !bytes.Equal(u.fresh, u.params) {
		u.params = append(u.params[:0], u.fresh...)
		u.order.describe(u.kind, u.params)
	}
}

// remember adds a parameter set to those that are known.
func (u *accessUnit) remember(set []byte) {
	for known, rest := annexb.Next(u.params); known != nil; known, rest = annexb.Next(rest) {
		if bytes.Equal(known, set) {
			return
		}
	}
	if len(u.params)+len(set) > maxParameterBytes {
		return
	}
	u.params = annexb.Append(u.params, set)
	u.order.describe(u.kind, u.params)
}

// prepend puts the known parameter sets before a key frame that has no sequence parameter set, behind its delimiter.
func (u *accessUnit) prepend() {
	at := 0
	if u.delimited {
		if at = annexb.StartCode(u.buf, annexb.StartCodeSize+1) - 1; at < 0 {
			return
		}
	}
	u.fresh = u.fresh[:0]
	useful := false
	for set, rest := annexb.Next(u.params); set != nil; set, rest = annexb.Next(rest) {
		useful = useful || u.kind(set) == unitSPS
		if !u.others || !u.holds(set) {
			u.fresh = annexb.Append(u.fresh, set)
		}
	}
	if useful {
		u.buf = slices.Insert(u.buf, at, u.fresh...)
	}
}

// holds reports whether a parameter set is in the access unit already.
func (u *accessUnit) holds(set []byte) bool {
	for unit, rest := annexb.Next(u.buf); unit != nil; unit, rest = annexb.Next(rest) {
		if k := u.kind(unit); k == unitPicture || k == unitFirst {
			return false
		}
		if bytes.Equal(unit, set) {
			return true
		}
	}
	return false
}

// shrink gives back a buffer that one large picture has left behind.
func (u *accessUnit) shrink() {
	u.peak = max(u.peak, len(u.buf))
	if u.frames++; u.frames < peakFrames {
		return
	}
	if cap(u.buf) > keepBytes && cap(u.buf)/4 > u.peak {
		u.buf = make([]byte, 0, 2*u.peak)
	}
	u.frames, u.peak = 0, 0
}
