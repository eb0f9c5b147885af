package mpegts

import (
	"encoding/binary"

	"berth/media"
	"berth/media/pes"
)

// wire writes transport streams packet by packet, as odd as it gets.
type wire struct {
	counters map[int]byte
	b        []byte
}

func newWire() *wire { return &wire{counters: map[int]byte{}} }

// packet appends one packet with payload of at most 184 bytes, filled up in its adaptation field.
func (w *wire) packet(pid int, start bool, payload []byte) *wire {
	p := []byte{syncByte, byte(pid >> 8), byte(pid), 0x10 | w.counters[pid]}
	if start {
		p[1] |= 0x40
	}
	if n := packetSize - 4 - len(payload); n > 0 {
		p[3] |= 0x20
		p = appendField(p, n, false, false, 0)
	}
	w.counters[pid] = (w.counters[pid] + 1) & 15
	w.b = append(append(w.b, p...), payload...)
	return w
}

// pes appends the packets of a PES packet.
func (w *wire) pes(pid int, b []byte) *wire {
	for start := true; len(b) > 0; start = false {
		n := min(184, len(b))
		w.packet(pid, start, b[:n])
		b = b[n:]
	}
	return w
}

type entry struct {
	streamType  byte
	pid         int
	descriptors []byte
}

func table(id byte, fixed []byte, body ...byte) []byte {
	b := append([]byte{id, 0, 0}, fixed...)
	b = append(b, body...)
	length := len(b) - 3 + crcSize
	b[1], b[2] = 0xb0|byte(length>>8), byte(length)
	return binary.BigEndian.AppendUint32(b, pes.CRC32(b))
}

func patFor(pid int) []byte {
	return table(tablePAT, []byte{0, 1, 0xc1, 0, 0}, 0, 0, 0xe0, 0x10, 0, 1, 0xe0|byte(pid>>8), byte(pid)) // the network's table first
}

func pmtFor(version byte, entries ...entry) []byte {
	var body []byte
	for _, e := range entries {
		body = append(body, e.streamType, 0xe0|byte(e.pid>>8), byte(e.pid), 0xf0, byte(len(e.descriptors)))
		body = append(body, e.descriptors...)
	}
	return table(tablePMT, []byte{0, 1, 0xc1 | version<<1, 0, 0, 0xe1, 0, 0xf0, 3, 9, 1, 0}, body...)
}

// section appends a table with its pointer, cut over as many packets as it takes.
func (w *wire) section(pid int, b []byte) *wire { return w.pes(pid, append([]byte{0}, b...)) }

func (w *wire) tables(entries ...entry) *wire {
	return w.section(pidPAT, patFor(pidPMT)).section(pidPMT, pmtFor(0, entries...))
}

var (
	h264Entry = entry{pes.TypeH264, pidFirst, nil}
	aacEntry  = entry{pes.TypeADTS, pidFirst + 1, nil}
)

// video returns a PES packet of video; open makes it one that does not say how long it is.
func video(pts media.Ticks, payload []byte, open bool) []byte {
	b := append(pes.AppendHeader(nil, pes.IDVideo, len(payload), pts, pts), payload...)
	if open {
		b[4], b[5] = 0, 0
	}
	return b
}

func adts(payload []byte) []byte {
	b, _ := pes.AppendADTS(nil, stereo, len(payload))
	return append(b, payload...)
}

func audio(pts media.Ticks, payload []byte) []byte {
	return append(pes.AppendHeader(nil, pes.IDAudio, len(payload), pts, pts), payload...)
}

// outOf takes the stream apart as RTP payloads of seven packets.
func outOf(b []byte) ([]sent, *Demuxer) {
	var got []sent
	d := NewDemuxer(Options{})
	demuxed(d, &got)
	for len(b) > 0 {
		n := min(7*packetSize, len(b))
		d.Write(b[:n])
		b = b[n:]
	}
	return got, d
}

func payloads(frames []sent) (out [][]byte) {
	for _, f := range frames {
		out = append(out, f.Payload)
	}
	return out
}

func times(frames []sent) (out []media.Ticks) {
	for _, f := range frames {
		out = append(out, f.PTS)
	}
	return out
}
