package mpegps

import (
	"berth/media"
	"berth/media/annexb"
)

// stray deals with bytes that begin no header although one was expected: those in d.head if there are any, else those at the front of b. It returns what is left of b.
func (d *Demuxer) stray(b []byte) []byte {
	if d.state == seeking {
		if len(d.head) == 0 {
			d.stats.Skipped += 3 // a start code whose header is none
			return b[3:]
		}
		d.shift()
		return b
	}
	view := b
	if len(d.head) > 0 {
		view = d.head
	}
	if len(view) >= 3 && view[0]|view[1]|view[2] == 0 { // zeros between packets
		d.zeros++
		if len(d.head) > 0 {
			d.head = d.head[:copy(d.head, d.head[1:])]
			return b
		}
		return b[1:]
	}
	return d.wrongLength(b)
}

// shift drops bytes of d.head until it is empty or may begin a start code again.
func (d *Demuxer) shift() {
	n := 1
	for n < len(d.head) && headerSize(d.head[n:]) == noHeader {
		n++
	}
	d.stats.Skipped += uint64(n)
	d.head = d.head[:copy(d.head, d.head[n:])]
}

// wrongLength is called when the bytes behind a packet begin no header. Either its length was too large: then the next header lies inside of it, and is read again from there. Or its length was
// too small, as with devices that let it overflow beyond 64 KB: then video goes on until the next start code. What was expected is in d.head or at the front of b.
func (d *Demuxer) wrongLength(b []byte) []byte {
	s := d.closed
	d.closed = nil
	if s == nil || !s.canGoOn() {
		d.state = seeking
		d.stats.Skipped += uint64(d.zeros)
		d.zeros = 0
		return b
	}
	d.stats.Lengths++
	if again := s.takeBack(); again != nil {
		if !d.replaying && len(again) <= d.credit {
			d.credit -= len(again)
			d.readAgain(again)
			return b
		}
		d.stats.Skipped += uint64(len(again))
		d.Gap()
		return b
	}
	var zeros [3]byte // more belong to no NAL unit
	s.goOn(zeros[:min(d.zeros, len(zeros))])
	d.zeros = 0
	d.current, d.state = s, inOpen
	return b
}

// readAgain feeds bytes that were taken for payload, with what came behind them so far: zeros and d.head.
func (d *Demuxer) readAgain(again []byte) {
	replay := d.replay[:0]
	need := min(len(again)+d.zeros, replayBytes) + len(d.head)
	large := d.opt.Buffers != nil && need > keptReplay
	if large {
		replay = d.opt.Buffers.Take(need)
	}
	replay = append(replay, again...)
	for ; d.zeros > 0 && len(replay) < replayBytes; d.zeros-- {
		replay = append(replay, 0)
	}
	d.zeros = 0
	replay = append(replay, d.head...)
	d.head, d.state = d.head[:0], atCode
	d.replaying = true
	d.feed(replay)
	d.replaying = false
	if large {
		d.opt.Buffers.Put(replay)
	} else {
		d.replay = replay
	}
}

// open takes payload of a packet without a length, up to the next start code of the program stream. What may begin one is kept in d.head.
func (d *Demuxer) open(b []byte) []byte {
	for len(d.head) > 0 {
		if !mayBeCode(d.head) {
			d.releaseHead()
			continue
		}
		if len(d.head) >= 4 {
			d.endOpen()
			return b
		}
		if len(b) == 0 {
			return nil
		}
		d.head = append(d.head, b[0])
		b = b[1:]
	}
	for at := 0; ; {
		i := annexb.StartCode(b, at)
		if i >= 0 && i+3 < len(b) && b[i+3] < firstCode {
			at = i + 3
			continue
		}
		ends := i >= 0 && i+3 < len(b)
		if i < 0 {
			i = len(b) - codeTail(b)
		}
		d.current.append(b[:i])
		if ends {
			d.endOpen()
			return b[i:]
		}
		d.head = append(d.head[:0], b[i:]...)
		return nil
	}
}

// releaseHead gives the first byte of d.head to the open packet, and all that follow until a start code may begin.
func (d *Demuxer) releaseHead() {
	n := 1
	for n < len(d.head) && !mayBeCode(d.head[n:]) {
		n++
	}
	d.current.append(d.head[:n])
	d.head = d.head[:copy(d.head, d.head[n:])]
}

// endOpen ends the open packet because a start code has come.
func (d *Demuxer) endOpen() {
	d.current.end()
	d.current, d.state = nil, atCode
}

// mayBeCode reports whether b begins with a start code of the program stream, or is the beginning of one.
func mayBeCode(b []byte) bool {
	for i, v := range b[:min(len(b), 4)] {
		if i < 3 && v != byte(i>>1) || i == 3 && v < firstCode {
			return false
		}
	}
	return true
}

// systemCode returns the index of the first start code of a program stream in b, the rest of which is video; -1 without one.
func systemCode(b []byte) int {
	for i := annexb.StartCode(b, 0); i >= 0; i = annexb.StartCode(b, i+3) {
		if i+3 < len(b) && b[i+3] >= firstCode {
			return i
		}
	}
	return -1
}

// canGoOn reports whether the packet of the stream that ended last may hold what is not its own, or may not have ended.
func (s *stream) canGoOn() bool {
	return s.codec.Kind() == media.KindVideo && len(s.buf) > max(s.pes, s.from)
}

// takeBack finds a start code of the program stream in the payload of the last packet, and takes the payload from there on away. nil when there is none.
func (s *stream) takeBack() []byte {
	from := max(s.pes, s.from)
	at := systemCode(s.buf[from:])
	if at < 0 {
		return nil
	}
	at += from
	again := s.buf[at:]
	s.buf = s.buf[:at]
	s.video.scan = min(s.video.scan, at)
	return again
}

// goOn opens the last packet again.
func (s *stream) goOn(zeros []byte) {
	s.ended = false
	s.append(zeros)
}
