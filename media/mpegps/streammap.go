package mpegps

import (
	"bytes"

	"berth/media/pes"
)

// mapEntry is one elementary stream of a program stream map.
type mapEntry struct{ streamType, id byte }

// readMap takes a whole program_stream_map apart (section 2.5.4.1) and calls back with each stream; ok is false when it makes no sense. Lengths inside of it are held against what is
// there, because devices write the outer one right and the inner ones wrong.
func readMap(b []byte, entry func(mapEntry)) (ok bool) {
	if len(b) < 6+10 {
		return false
	}
	body := b[6 : len(b)-4] // without CRC_32
	info := int(body[2])<<8 | int(body[3])
	if info > len(body)-6 {
		return false
	}
	body = body[4+info+2:] // elementary_stream_map_length says nothing that the outer length does not
	for len(body) >= 4 {
		e := mapEntry{streamType: body[0], id: body[1]}
		if e.id < pes.IDMap {
			return ok
		}
		entry(e)
		ok = true
		body = body[min(4+(int(body[2])<<8|int(body[3])), len(body)):]
	}
	return ok
}

// takeMap applies a program stream map. One that equals the one before says nothing new. The map is believed until the streams themselves tell otherwise.
func (d *Demuxer) takeMap(b []byte) {
	d.stats.Maps++
	if bytes.Equal(b, d.lastMap) {
		return
	}
	for _, s := range d.order {
		s.mapped = false
	}
	usable := readMap(b, func(e mapEntry) {
		if e.id <= pes.IDVideoLast && d.byID[e.id-pes.IDMap] != nil {
			d.byID[e.id-pes.IDMap].mapped = true
		}
	})
	if !usable || pes.CRC32(b) != 0 && !bytes.HasSuffix(b, []byte{0, 0, 0, 0}) {
		d.stats.BadMaps++
	}
	if !usable {
		return
	}
	d.lastMap = append(d.lastMap[:0], b...)
	d.forgetUnmapped()
	readMap(b, func(e mapEntry) {
		if s := d.stream(e.id, e.streamType); s != nil {
			s.mapped = true
			s.announce(e.streamType)
		}
	})
}

// forgetUnmapped takes streams off the list that an earlier map announced, the present one does not, and that never sent anything.
func (d *Demuxer) forgetUnmapped() {
	kept := d.order[:0]
	for _, s := range d.order {
		if s.mapped || s.packets > 0 {
			kept = append(kept, s)
			continue
		}
		d.byID[s.id-pes.IDMap] = nil
		d.changed()
	}
	clear(d.order[len(kept):])
	d.order = kept
}
