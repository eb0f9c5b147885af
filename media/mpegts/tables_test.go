package mpegts

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

func TestTheMapMayChange(t *testing.T) {
	var got []sent
	d := NewDemuxer(Options{})
	w := newWire().tables(h264Entry)
	demuxed(d, &got, w.b)
	version := d.Version()
	write := func(f func(w *wire)) {
		w.b = w.b[:0]
		f(w)
		d.Write(w.b)
	}
	write(func(w *wire) { w.section(pidPMT, pmtFor(0, h264Entry)) })
	require.Equal(t, version, d.Version(), "the same map again says nothing new")

	write(func(w *wire) { w.pes(pidFirst, video(0, picture(true, 50), true)) })
	write(func(w *wire) { w.section(pidPMT, pmtFor(1, h264Entry, aacEntry)) })
	require.Greater(t, d.Version(), version)
	require.Equal(t, []Elementary{{pidFirst, pes.TypeH264, media.CodecH264}, {pidFirst + 1, pes.TypeADTS, media.CodecAAC}}, d.Streams())
	require.Empty(t, got, "the stream that stays keeps what it has")

	write(func(w *wire) { w.section(pidPMT, pmtFor(2, entry{pes.TypeH265, pidFirst, nil})) })
	require.Equal(t, [][]byte{picture(true, 50)}, payloads(got), "the picture of the stream that ends comes out")
	require.Equal(t, []Elementary{{pidFirst, pes.TypeH265, media.CodecH265}}, d.Streams())
	write(func(w *wire) {
		w.pes(pidFirst, video(3600, pictureH265(true, 50), true)).pes(pidFirst, video(7200, pictureH265(false, 50), true))
	})
	require.Equal(t, media.CodecH265, got[1].Codec)

	w.counters[0x200] = 0
	write(func(w *wire) { w.section(pidPAT, patFor(0x200)).section(0x200, pmtFor(0, aacEntry)) })
	require.Equal(t, []Elementary{{pidFirst + 1, pes.TypeADTS, media.CodecAAC}}, d.Streams(), "the map has moved")
}

func TestTablesThatMakeNoSenseAreNotTakenIn(t *testing.T) {
	good := pmtFor(0, h264Entry)
	wrongCRC := bytes.Clone(good)
	wrongCRC[len(wrongCRC)-1]++
	notYet := bytes.Clone(good[:len(good)-crcSize])
	notYet[5] &^= 1
	notYet = binary.BigEndian.AppendUint32(notYet, pes.CRC32(notYet))
	noCRC := append(bytes.Clone(good[:len(good)-crcSize]), 0, 0, 0, 0)
	for _, c := range []struct {
		name  string
		table []byte
		taken bool
		bad   uint64
	}{
		{"right", good, true, 0},
		{"wrong CRC", wrongCRC, false, 1},
		{"CRC of zeros", noCRC, true, 0},
		{"not in force yet", notYet, false, 0},
		{"too short", table(tablePMT, []byte{0, 1}), false, 1},
		{"another table", append([]byte{0x42}, good[1:]...), false, 1},
		{"descriptors longer than the table", table(tablePMT, []byte{0, 1, 0xc1, 0, 0, 0xe1, 0, 0xff, 0xff}), false, 1},
		{"too long", []byte{tablePMT, 0xbf, 0xff}, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, d := outOf(newWire().section(pidPAT, patFor(pidPMT)).section(pidPMT, c.table).b)
			require.Equal(t, c.taken, len(d.Streams()) == 1)
			require.Equal(t, c.bad, d.Stats().BadTables)
		})
	}
}

func TestAMapMayTakeSeveralPackets(t *testing.T) {
	long := bytes.Repeat([]byte{0x52, 1, 7}, 60)
	m := pmtFor(0, entry{pes.TypeH264, pidFirst, long}, entry{pes.TypePrivate, 0x300, long}, entry{pes.TypePCMA, pidFirst + 1, nil})
	w := newWire().section(pidPAT, patFor(pidPMT)).section(pidPMT, m)
	_, d := outOf(w.b)
	require.Len(t, d.Streams(), 2)
	// A table whose end lies before the next one, in the same packet.
	w = newWire().section(pidPAT, patFor(pidPMT))
	w.packet(pidPMT, true, append([]byte{0}, m[:183]...))
	rest := m[183:]
	w.packet(pidPMT, false, rest[:184])
	rest = rest[184:]
	w.packet(pidPMT, true, append(append([]byte{byte(len(rest))}, rest...), 0xff))
	_, d = outOf(w.b)
	require.Len(t, d.Streams(), 2)
	require.Zero(t, d.Stats().BadTables)
}

func TestStreamsAreKnownByTypeAndDescriptor(t *testing.T) {
	for _, c := range []struct {
		name        string
		streamType  byte
		descriptors []byte
		want        media.Codec
	}{
		{"h264", pes.TypeH264, nil, media.CodecH264},
		{"h265", pes.TypeH265, nil, media.CodecH265},
		{"adts", pes.TypeADTS, nil, media.CodecAAC},
		{"latm", pes.TypeLATM, nil, media.CodecAAC},
		{"mp3", pes.TypeMPEG1Audio, nil, media.CodecMP3},
		{"mp3 of low frequencies", pes.TypeMPEG2Audio, nil, media.CodecMP3},
		{"a-law", pes.TypePCMA, nil, media.CodecPCMA},
		{"µ-law", pes.TypePCMU, nil, media.CodecPCMU},
		{"opus by registration", pes.TypePrivate, []byte{tagRegistration, 4, 'O', 'p', 'u', 's'}, media.CodecOpus},
		{"opus by extension", pes.TypePrivate, []byte{0x0a, 1, 0, tagExtension, 2, extensionOpus, 2}, media.CodecOpus},
		{"h265 by registration", pes.TypePrivate, []byte{tagRegistration, 4, 'H', 'E', 'V', 'C'}, media.CodecH265},
		{"private data", pes.TypePrivate, nil, media.CodecUnknown},
		{"teletext", pes.TypePrivate, []byte{0x56, 0}, media.CodecUnknown},
		{"descriptor longer than there is", pes.TypePrivate, []byte{tagRegistration, 40, 'O', 'p'}, media.CodecUnknown},
		{"metadata", 0x15, nil, media.CodecUnknown},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, codecOf(c.streamType, c.descriptors)) })
	}
}

func TestPrivateDataIsPassedOver(t *testing.T) {
	w := newWire().tables(entry{pes.TypePrivate, 0x120, nil}, h264Entry)
	w.pes(0x120, audio(0, random(500))).pes(pidFirst, video(0, picture(true, 10), false)).pes(0x120, audio(0, random(500))).pes(pidFirst, video(3600, picture(false, 10), false))
	got, d := outOf(w.b)
	require.Equal(t, 1, len(got))
	require.Equal(t, uint64(6), d.Stats().Unmapped)
	require.Len(t, d.Streams(), 1)
}

func TestNoMoreStreamsThanAllowed(t *testing.T) {
	var entries []entry
	for i := range 9 {
		entries = append(entries, entry{pes.TypeH264, pidFirst + i/2, nil}) // some twice
	}
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) {}, MaxStreams: 3})
	d.Write(newWire().tables(entries...).b)
	require.Equal(t, []Elementary{{pidFirst, pes.TypeH264, media.CodecH264}, {pidFirst + 1, pes.TypeH264, media.CodecH264}, {pidFirst + 2, pes.TypeH264, media.CodecH264}}, d.Streams())
}
