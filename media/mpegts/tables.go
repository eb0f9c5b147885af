package mpegts

import (
	"bytes"
	"encoding/binary"

	"berth/media"
	"berth/media/pes"
)

const (
	tablePAT   = 0
	tablePMT   = 2
	maxSection = 3 + 1021 // of a PAT and a PMT (sections 2.4.4.5, 2.4.4.9)
	crcSize    = 4
)

// section gathers one table that may be cut over packets.
type section struct {
	counters
	buf  []byte // of the table in work
	open bool
	last []byte // the last whole one
}

func (s *section) reset() { s.buf, s.open, s.known = s.buf[:0], false, false }

func (s *section) bytes() []byte { return s.last }

// take adds a packet; it returns true when that completes a table which differs from the one before.
func (s *section) take(h header, stats *Stats) (fresh bool) {
	switch s.next(h) {
	case twice:
		stats.Duplicates++
		return false
	case broken:
		stats.Holes++
		s.buf, s.open = s.buf[:0], false
	}
	p := h.payload
	if h.start {
		if len(p) == 0 || int(p[0])+1 > len(p) {
			return false
		}
		pointer := int(p[0])
		if s.open && s.add(p[1:1+pointer], stats) {
			fresh = true
		}
		p = p[1+pointer:]
		s.buf, s.open = s.buf[:0], true
	}
	return s.open && s.add(p, stats) || fresh
}

// add adds bytes to the table in work and takes it over when it is whole.
func (s *section) add(b []byte, stats *Stats) bool {
	b = b[:min(len(b), maxSection-len(s.buf))]
	s.buf = append(s.buf, b...)
	if len(s.buf) < 3 {
		return false
	}
	size := 3 + int(binary.BigEndian.Uint16(s.buf[1:])&0xfff)
	if size > maxSection || s.buf[0] == 0xff {
		if s.buf[0] != 0xff { // else stuffing
			stats.BadTables++
		}
		s.open = false
		return false
	}
	if len(s.buf) < size {
		return false
	}
	s.open = false
	table := s.buf[:size]
	if bytes.Equal(table, s.last) {
		return false
	}
	const fixed = 8
	if size < fixed+crcSize || pes.CRC32(table) != 0 && !bytes.Equal(table[size-crcSize:], make([]byte, crcSize)) {
		stats.BadTables++
		return false
	}
	if table[5]&1 == 0 { // current_next_indicator: not in force yet
		return false
	}
	s.last = append(s.last[:0], table...)
	return true
}

// takePAT notes where the map of the first program is (section 2.4.4.3).
func (d *Demuxer) takePAT(b []byte) {
	if b[0] != tablePAT {
		return
	}
	for e := b[8 : len(b)-crcSize]; len(e) >= 4; e = e[4:] {
		program, pid := binary.BigEndian.Uint16(e), int(binary.BigEndian.Uint16(e[2:])&0x1fff)
		if program == 0 || pid == pidPAT || pid == pidNull {
			continue // the network's table
		}
		if pid != d.pmtPID {
			d.pmtPID, d.pmt = pid, section{}
		}
		return
	}
}

// takePMT notes which streams there are (section 2.4.4.8). Those that go on keep what they have.
func (d *Demuxer) takePMT(b []byte) {
	const fixed = 12
	if b[0] != tablePMT || len(b) < fixed+crcSize {
		return
	}
	body := b[:len(b)-crcSize]
	info := int(binary.BigEndian.Uint16(b[10:]) & 0xfff)
	if fixed+info > len(body) {
		d.stats.BadTables++
		return
	}
	d.stats.Maps++
	var kept []*stream
	for e := body[fixed+info:]; len(e) >= 5; {
		streamType, pid := e[0], int(binary.BigEndian.Uint16(e[1:])&0x1fff)
		n := min(int(binary.BigEndian.Uint16(e[3:])&0xfff), len(e)-5)
		codec := codecOf(streamType, e[5:5+n])
		e = e[5+n:]
		if codec == media.CodecUnknown || pid == pidPAT || pid == pidNull || pid == d.pmtPID || len(kept) >= d.opt.MaxStreams || find(kept, pid) != nil {
			continue
		}
		s := find(d.order, pid)
		if s == nil || s.streamType != streamType || s.named != codec {
			s = newStream(d, pid, streamType, codec)
		}
		kept = append(kept, s)
	}
	for _, s := range d.order {
		if find(kept, s.pid) != s {
			s.retire()
		}
	}
	d.order = kept
	d.version++
}

func find(streams []*stream, pid int) *stream {
	for _, s := range streams {
		if s.pid == pid {
			return s
		}
	}
	return nil
}

// Descriptors that tell what private data is (section 2.6.8; ETSI EN 300 468 section 6.4).
const (
	tagRegistration = 0x05
	tagExtension    = 0x7f
	extensionOpus   = 0x80
)

// codecOf returns the codec of a stream, by its type or, for private data, by its descriptors. CodecUnknown is what nobody here takes in.
func codecOf(streamType byte, descriptors []byte) media.Codec {
	if streamType != pes.TypePrivate {
		if streamType == pes.TypeOpus {
			return media.CodecUnknown // means something else in transport streams
		}
		return pes.CodecOf(streamType)
	}
	for len(descriptors) >= 2 {
		tag, n := descriptors[0], min(int(descriptors[1]), len(descriptors)-2)
		body := descriptors[2 : 2+n]
		switch {
		case tag == tagRegistration && bytes.HasPrefix(body, []byte("Opus")), tag == tagExtension && n > 0 && body[0] == extensionOpus:
			return media.CodecOpus
		case tag == tagRegistration && bytes.HasPrefix(body, []byte("HEVC")):
			return media.CodecH265
		}
		descriptors = descriptors[2+n:]
	}
	return media.CodecUnknown
}
