package mpegts

import (
	"encoding/binary"

	"berth/media"
	"berth/media/pes"
)

// makeTables lays out PAT and PMT (sections 2.4.4.3 and 2.4.4.8), each in one packet.
func (m *Muxer) makeTables(tracks []*media.Track) {
	pat := []byte{tablePAT, 0, 0, 0, 1, 0xc1, 0, 0, 0, program, 0xe0 | pidPMT>>8, pidPMT & 0xff}
	putTable(&m.tables[0], pidPAT, pat)

	clock := m.tracks[m.clockTrack].pid
	pmt := []byte{tablePMT, 0, 0, 0, program, 0xc1, 0, 0, 0xe0 | byte(clock>>8), byte(clock), 0xf0, 0}
	for i, t := range tracks {
		streamType, descriptors := pes.TypeOf(t), []byte(nil)
		switch t.Codec {
		case media.CodecOpus:
			streamType = pes.TypePrivate
			descriptors = []byte{tagRegistration, 4, 'O', 'p', 'u', 's', tagExtension, 2, extensionOpus, byte(max(t.Channels, 1))}
		case media.CodecH265:
			descriptors = []byte{tagRegistration, 4, 'H', 'E', 'V', 'C'}
		}
		pid := m.tracks[i].pid
		pmt = append(pmt, streamType, 0xe0|byte(pid>>8), byte(pid), 0xf0, byte(len(descriptors)))
		pmt = append(pmt, descriptors...)
	}
	putTable(&m.tables[1], pidPMT, pmt)
}

// putTable completes a table with length and CRC and puts it into a packet. That of maxTracks fits.
func putTable(p *[packetSize]byte, pid uint16, table []byte) {
	length := len(table) - 3 + crcSize
	table[1], table[2] = 0xb0|byte(length>>8), byte(length)
	table = binary.BigEndian.AppendUint32(table, pes.CRC32(table))
	for i := range p {
		p[i] = 0xff
	}
	copy(p[:], []byte{syncByte, 0x40 | byte(pid>>8), byte(pid), 0x10, 0})
	copy(p[5:], table)
}

// appendTables appends PAT and PMT with their counters.
func (m *Muxer) appendTables(dst []byte) []byte {
	for i := range m.tables {
		m.tables[i][3] = 0x10 | m.counter
		dst = append(dst, m.tables[i][:]...)
	}
	m.counter = (m.counter + 1) & 15
	return dst
}
