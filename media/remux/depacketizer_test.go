package remux

import (
	"bytes"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/annexb"
)

// source writes packets as a device would.
type source struct {
	seq uint16
	ts  uint32
}

func (s *source) packet(marker bool, payload ...byte) []byte {
	s.seq++
	pkt := []byte{0x80, 96, byte(s.seq >> 8), byte(s.seq), byte(s.ts >> 24), byte(s.ts >> 16), byte(s.ts >> 8), byte(s.ts), 0, 0, 0, 1}
	if marker {
		pkt[1] |= 0x80
	}
	return append(pkt, payload...)
}

// one packet of a script.
type scripted struct {
	lost    bool // before it
	ts      uint32
	marker  bool
	payload []byte
}

func play(d *Depacketizer, script []scripted) {
	s := &source{seq: 100}
	for _, p := range script {
		if p.lost {
			s.seq++
		}
		s.ts = p.ts
		d.Write(s.packet(p.marker, p.payload...))
	}
	d.Flush()
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestPacketsOfH264BecomeAccessUnits(t *testing.T) {
	key, inter := []byte{0x65, 0x88, 1, 2}, []byte{0x41, 0x9a, 3}
	second := []byte{0x41, 0x3a, 4} // a slice that does not begin the picture
	full := stream(testSPS, testPPS, key)
	size := func(b []byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }
	start := scripted{ts: 0, marker: true, payload: joined([]byte{24}, size(testSPS), size(testPPS), size(key))}
	track := trackOf(t, &format.H264{PayloadTyp: 96, SPS: testSPS, PPS: testPPS, PacketizationMode: 1})
	for _, c := range []struct {
		name    string
		script  []scripted
		want    [][]byte
		damaged uint64
	}{
		{"aggregated", []scripted{start}, [][]byte{full}, 0},
		{"aggregated with an order number", []scripted{{marker: true, payload: joined([]byte{25, 0, 1}, size(testSPS), size(testPPS), size(key))}}, [][]byte{full}, 0},
		{"one by one", []scripted{{payload: testSPS}, {payload: testPPS}, {payload: key, marker: true}}, [][]byte{full}, 0},
		{"without markers", []scripted{{payload: testSPS}, {payload: testPPS}, {payload: key}, {ts: 3600, payload: inter}}, [][]byte{full, stream(inter)}, 0},
		{"parameter sets with markers", []scripted{{payload: testSPS, marker: true}, {payload: testPPS, marker: true}, {payload: key, marker: true}}, [][]byte{full}, 0},
		{"parameter sets with a time of their own", []scripted{{payload: testSPS, marker: true}, {ts: 1, payload: testPPS, marker: true}, {ts: 2, payload: key, marker: true}}, [][]byte{full}, 0},
		{"fragments", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0x81, 0x9a}}, {ts: 3600, payload: []byte{0x5c, 0x01, 9}}, {ts: 3600, payload: []byte{0x5c, 0x41, 8}, marker: true}}, [][]byte{full, stream([]byte{0x41, 0x9a, 9, 8})}, 0},
		{"a fragment that is all", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0xc1, 0x9a, 7}, marker: true}}, [][]byte{full, stream([]byte{0x41, 0x9a, 7})}, 0},
		{"fragments with order numbers", []scripted{start, {ts: 3600, payload: []byte{0x5d, 0x81, 0, 1, 0x9a}}, {ts: 3600, payload: []byte{0x5c, 0x41, 8}, marker: true}}, [][]byte{full, stream([]byte{0x41, 0x9a, 8})}, 0},
		{"start codes in packets", []scripted{{payload: stream(testSPS, testPPS, key), marker: true}}, [][]byte{full}, 0},
		{"start codes behind the first unit", []scripted{{payload: stream(testSPS, testPPS, key)[4:], marker: true}}, [][]byte{full}, 0},
		{"parameter sets from the description", []scripted{{payload: key, marker: true}}, [][]byte{full}, 0},
		{"the same behind a delimiter", []scripted{{payload: []byte{9, 0x10}}, {payload: key, marker: true}}, [][]byte{stream([]byte{9, 0x10}, testSPS, testPPS, key)}, 0},
		{"markers on every slice", []scripted{
			start,
			{ts: 3600, payload: inter, marker: true},
			{ts: 3600, payload: second, marker: true},
			{ts: 7200, payload: inter, marker: true},
			{ts: 7200, payload: second, marker: true},
			{ts: 10800, payload: inter, marker: true},
		}, [][]byte{full, stream(inter), stream(second), stream(inter, second), stream(inter)}, 0},
		{"two fields of one time", []scripted{start, {ts: 3600, payload: inter, marker: true}, {ts: 3600, payload: inter, marker: true}, {ts: 7200, payload: inter, marker: true}, {ts: 7200, payload: inter, marker: true}}, [][]byte{full, stream(inter), stream(inter), stream(inter), stream(inter)}, 0},
		{"a lost picture", []scripted{start, {lost: true, ts: 7200, payload: inter, marker: true}, {ts: 10800, payload: key, marker: true}}, [][]byte{full, full}, 0},
		{"a lost end", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0x81, 0x9a}}, {lost: true, ts: 7200, payload: key, marker: true}}, [][]byte{full, full}, 1},
		{"a lost middle", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0x81, 0x9a}}, {lost: true, ts: 3600, payload: []byte{0x5c, 0x41, 8}, marker: true}, {ts: 7200, payload: key, marker: true}}, [][]byte{full, full}, 1},
		{"a lost slice of a key frame", []scripted{start, {ts: 3600, payload: []byte{24, 0}, marker: true}, {ts: 3600, payload: []byte{0x65, 0x3a, 1}, marker: true}, {ts: 7200, payload: inter, marker: true}, {ts: 10800, payload: key, marker: true}}, [][]byte{full, full}, 1},
		{"the beginning of a key frame lost", []scripted{start, {lost: true, ts: 3600, payload: []byte{0x65, 0x3a, 1}, marker: true}, {ts: 7200, payload: key, marker: true}}, [][]byte{full, full}, 1},
		{"a fragment without its beginning", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0x41, 8}, marker: true}, {ts: 7200, payload: inter, marker: true}}, [][]byte{full}, 1},
		{"a fragment without its end", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0x81, 8}, marker: true}, {ts: 7200, payload: inter, marker: true}}, [][]byte{full}, 1},
		{"a fragment and then another unit", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0x81, 0x9a}}, {ts: 3600, payload: second, marker: true}}, [][]byte{full}, 1},
		{"a fragment begun twice", []scripted{start, {ts: 3600, payload: []byte{0x5c, 0x81, 0x9a}}, {ts: 3600, payload: []byte{0x5c, 0x81, 0x9a}}, {ts: 3600, payload: []byte{0x5c, 0x41, 8}, marker: true}}, [][]byte{full}, 1},
		{"an aggregate whose sizes lie", []scripted{start, {ts: 3600, payload: []byte{24, 0, 9, 0x41, 0x9a}, marker: true}}, [][]byte{full}, 1},
		{"an empty aggregate", []scripted{start, {ts: 3600, payload: []byte{24}, marker: true}}, [][]byte{full}, 1},
		{"a packet type that nobody sends", []scripted{start, {ts: 3600, payload: []byte{26, 0, 1, 2, 3, 4, 5}, marker: true}}, [][]byte{full}, 1},
		{"before the first key frame", []scripted{{ts: 0, payload: inter, marker: true}, {ts: 3600, payload: key, marker: true}}, [][]byte{full}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, frames := unpacker(t, DepacketizerOptions{Track: track})
			play(d, c.script)
			var got [][]byte
			for _, f := range *frames {
				got = append(got, f.Payload)
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.damaged, d.Stats().Damaged)
			require.EqualValues(t, len(c.want), d.Stats().Frames)
		})
	}
}

func TestPacketsOfH265BecomeAccessUnits(t *testing.T) {
	key := []byte{19 << 1, 1, 0x80, 9}
	full := stream(testVPS, hevcSPS, hevcPPS, key)
	plain := trackOf(t, &format.H265{PayloadTyp: 96, VPS: testVPS, SPS: hevcSPS, PPS: hevcPPS})
	ordered := trackOf(t, &format.H265{PayloadTyp: 96, VPS: testVPS, SPS: hevcSPS, PPS: hevcPPS, MaxDONDiff: 1})
	for _, c := range []struct {
		name    string
		track   *media.Track
		script  []scripted
		want    [][]byte
		damaged uint64
	}{
		{"a unit", plain, []scripted{{payload: key, marker: true}}, [][]byte{full}, 0},
		{"a unit with an order number", ordered, []scripted{{payload: []byte{19 << 1, 1, 0, 5, 0x80, 9}, marker: true}}, [][]byte{full}, 0},
		{"aggregated with order numbers", ordered, []scripted{{payload: []byte{48 << 1, 1, 0, 1, 0, 4, 39 << 1, 1, 5, 0x80, 1, 0, 4, 19 << 1, 1, 0x80, 9}, marker: true}}, [][]byte{stream(testVPS, hevcSPS, hevcPPS, []byte{39 << 1, 1, 5, 0x80}, key)}, 0},
		{"fragments with order numbers", ordered, []scripted{{payload: []byte{49 << 1, 1, 0x80 | 19, 0, 1, 0x80}}, {payload: []byte{49 << 1, 1, 0x40 | 19, 9}, marker: true}}, [][]byte{full}, 0},
		{"start codes in packets", plain, []scripted{{payload: stream(key), marker: true}}, [][]byte{full}, 0},
		{"content information", plain, []scripted{{payload: []byte{50 << 1, 1, 0, 0, 1}, marker: true}}, nil, 1},
		{"a cut fragment", plain, []scripted{{payload: []byte{49 << 1, 1, 0x80 | 19}, marker: true}}, nil, 1},
		{"a cut unit", plain, []scripted{{payload: []byte{19 << 1}, marker: true}}, nil, 1},
		{"a cut unit with an order number", ordered, []scripted{{payload: []byte{19 << 1, 1, 0}, marker: true}}, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, frames := unpacker(t, DepacketizerOptions{Track: c.track})
			play(d, c.script)
			var got [][]byte
			for _, f := range *frames {
				got = append(got, bytes.Clone(f.Payload))
				require.True(t, f.Key)
			}
			if c.name == "aggregated with order numbers" {
				require.Len(t, got, 1)
				require.ElementsMatch(t, units(c.want[0]), units(got[0]), "sets stand behind what came first")
				return
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.damaged, d.Stats().Damaged)
		})
	}
}

func units(b []byte) (out [][]byte) {
	for u, rest := annexb.Next(b); u != nil; u, rest = annexb.Next(rest) {
		out = append(out, u)
	}
	return out
}

func TestParameterSetsInTheStreamReplaceTheDescribed(t *testing.T) {
	track := trackOf(t, &format.H264{PayloadTyp: 96, SPS: testSPS, PPS: testPPS})
	d, frames := unpacker(t, DepacketizerOptions{Track: track})
	other, pps, key := []byte{0x67, 0x42, 0, 30, 5}, []byte{0x68, 7}, []byte{0x65, 0x88}
	play(d, []scripted{
		{ts: 0, payload: stream(other, pps, key), marker: true},
		{ts: 3600, payload: stream([]byte{0x68, 8}, []byte{0x41, 0x9a}), marker: true}, // a set in addition
		{ts: 7200, payload: key, marker: true},
	})
	require.Equal(t, stream(other, pps, []byte{0x68, 8}, key), (*frames)[2].Payload)
}

func TestStreamsWithoutKeyFramesComeOutInTheEnd(t *testing.T) {
	for _, sets := range []bool{true, false} {
		d, frames := unpacker(t, DepacketizerOptions{Codec: media.CodecH264, KeyPatience: time.Second})
		var script []scripted
		for i := range 80 {
			payload := stream([]byte{0x41, 0x9a, 1})
			if sets {
				payload = stream(testSPS, testPPS, []byte{0x41, 0x9a, 1})
			}
			script = append(script, scripted{ts: uint32(3600 * i), payload: payload, marker: true, lost: i == 70})
		}
		play(d, script)
		want := 80 - 50 - 1
		if sets {
			want = 80 - 25
		} else {
			want++
		}
		require.Len(t, *frames, want)
		require.False(t, (*frames)[0].Key)
	}
}

func TestWhatComesTwiceOrLateIsDropped(t *testing.T) {
	d, frames := unpacker(t, DepacketizerOptions{Codec: media.CodecPCMA})
	s := &source{}
	a, b := s.packet(false, 1), s.packet(false, 2)
	for _, p := range [][]byte{a, b, b, a} {
		d.Write(p)
	}
	s.seq += 10
	d.Write(s.packet(false, 3))
	s.seq = 40000 // the source begins anew
	d.Write(s.packet(false, 4))
	require.Len(t, *frames, 4)
	require.Equal(t, DepacketizerStats{Packets: 4, Frames: 4, Lost: 10, Late: 2}, func() DepacketizerStats { st := d.Stats(); st.Lost = min(st.Lost, 10); return st }())
}

func TestBrokenPacketsAreCounted(t *testing.T) {
	d, frames := unpacker(t, DepacketizerOptions{Codec: media.CodecPCMA})
	for _, p := range [][]byte{
		nil,
		{0x80, 8},
		make([]byte, 20),
		{0x8f, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1},
		{0x90, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1},
		{0x90, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9},
		{0xa0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		{0xa0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5},
		{0xa0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		d.Write(p)
	}
	require.EqualValues(t, 9, d.Stats().Invalid)
	d.Write([]byte{0xb1, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 1, 7, 7, 7, 7, 5, 6, 0, 2})
	require.Equal(t, []byte{5, 6}, (*frames)[0].Payload, "sources, extension and padding are no payload")
}

func TestFramesAreBounded(t *testing.T) {
	d, frames := unpacker(t, DepacketizerOptions{Codec: media.CodecH264, FrameBytes: 1000, KeyPatience: -1})
	s := &source{}
	d.Write(s.packet(false, 0x7c, 0x85, 0x88))
	for range 100 {
		d.Write(s.packet(false, append([]byte{0x7c, 0x05}, make([]byte, 100)...)...))
		require.LessOrEqual(t, len(d.unit.buf), 1000)
	}
	d.Write(s.packet(true, 0x7c, 0x45, 1))
	s.ts = 3600
	d.Write(s.packet(true, 0x65, 0x88, 1))
	require.Len(t, *frames, 1)
	require.EqualValues(t, 1, d.Stats().Damaged)
}

func TestTheBufferOfALargePictureIsGivenBack(t *testing.T) {
	d, _ := unpacker(t, DepacketizerOptions{Codec: media.CodecH264, KeyPatience: -1})
	s := &source{}
	d.Write(s.packet(true, append([]byte{0x65, 0x88}, bytes.Repeat([]byte{7}, 60000)...)...))
	for range 20 {
		d.Write(s.packet(false, append([]byte{0x65, 0x88}, bytes.Repeat([]byte{7}, 60000)...)...))
	}
	require.Greater(t, cap(d.unit.buf), 1<<20)
	for range 2 * peakFrames {
		s.ts += 3600
		d.Write(s.packet(true, 0x41, 0x9a, 1))
	}
	require.Less(t, cap(d.unit.buf), 1000)
}

func TestTimesFollowTheClock(t *testing.T) {
	d, frames := unpacker(t, DepacketizerOptions{Codec: media.CodecPCMA})
	s := &source{ts: 0xffff_ffff - 79}
	d.Write(s.packet(false, 1))
	s.ts += 160
	d.Write(s.packet(false, 1))
	d.Align(s.ts, 900000)
	s.ts += 160
	d.Write(s.packet(false, 1))
	var got []media.Ticks
	for _, f := range *frames {
		got = append(got, f.PTS)
	}
	require.Equal(t, []media.Ticks{0, 1800, 901800}, got)
}

func TestReportsPutTracksOnOneTimeLine(t *testing.T) {
	epoch := start()
	report := appendReport(nil, 7, epoch.Add(3*time.Second), 5000, PacketizerStats{Packets: 1, Octets: 2})
	at, rtp, ok := ParseReport(report)
	require.True(t, ok)
	require.WithinDuration(t, epoch.Add(3*time.Second), at, time.Microsecond)
	require.EqualValues(t, 5000, rtp)
	for _, broken := range [][]byte{nil, report[:20], {0x80, 201, 0, 0}, {0x80, 200, 0, 200}} {
		_, _, ok := ParseReport(broken)
		require.False(t, ok)
	}
	_, _, ok = ParseReport(append([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, report...))
	require.True(t, ok, "behind another packet")
}

func TestAACComesInManyShapes(t *testing.T) {
	conf := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 16000, ChannelConfig: 1}
	adts := func(payload ...byte) []byte {
		b, err := mpeg4audio.ADTSPackets{{Type: 2, SampleRate: 16000, ChannelConfig: 1, ChannelCount: 1, AU: payload}}.Marshal()
		require.NoError(t, err)
		return b
	}
	described := func(h aacHeader) *media.Track {
		return trackOf(t, &format.MPEG4Audio{PayloadTyp: 97, Config: conf, SizeLength: h.size, IndexLength: h.index, IndexDeltaLength: h.delta})
	}
	hbr := described(aacHeader{13, 3, 3})
	for _, c := range []struct {
		name    string
		track   *media.Track
		packets []scripted
		want    [][]byte
		pts     []media.Ticks
		invalid uint64
	}{
		{"two units", hbr, []scripted{{payload: []byte{0, 32, 0, 8, 0, 16, 5, 6, 7}}}, [][]byte{{5}, {6, 7}}, []media.Ticks{0, 5760}, 0},
		{"units apart", hbr, []scripted{{payload: []byte{0, 32, 0, 8, 0, 17, 5, 6, 7}}}, [][]byte{{5}, {6, 7}}, []media.Ticks{0, 11520}, 0},
		{"low bit rate", described(aacHeader{6, 2, 2}), []scripted{{payload: []byte{0, 8, 2 << 2, 6, 7}}}, [][]byte{{6, 7}}, []media.Ticks{0}, 0},
		{"fragments", hbr, []scripted{{payload: []byte{0, 16, 0, 24, 5, 6}}, {payload: []byte{0, 16, 0, 24, 7}, marker: true}}, [][]byte{{5, 6, 7}}, []media.Ticks{0}, 0},
		{"a lost fragment", hbr, []scripted{{payload: []byte{0, 16, 0, 24, 5, 6}}, {lost: true, ts: 1024, payload: []byte{0, 16, 0, 8, 8}}}, [][]byte{{8}}, []media.Ticks{5760}, 0},
		{"adts inside", hbr, []scripted{{payload: append([]byte{0, 16, 0, 10 << 3}, adts(1, 2, 3)...)}}, [][]byte{{1, 2, 3}}, []media.Ticks{0}, 0},
		{"no header", hbr, []scripted{{payload: []byte{0}}}, nil, nil, 1},
		{"headers longer than the packet", hbr, []scripted{{payload: []byte{0, 200, 1, 2}}}, nil, nil, 1},
		{"units longer than the packet", hbr, []scripted{{payload: []byte{0, 32, 0, 8, 0, 80, 5, 6, 7}}}, [][]byte{{5}}, []media.Ticks{0}, 1},
		{"adts", nil, []scripted{{payload: adts(1, 2)}, {ts: 1024, payload: adts(3)}}, [][]byte{{1, 2}, {3}}, []media.Ticks{0, 5760}, 0},
		{"adts of 90 kHz", nil, []scripted{{payload: adts(1, 2)}, {ts: 5760, payload: adts(3)}, {ts: 11520, payload: adts(3)}}, [][]byte{{1, 2}, {3}, {3}}, []media.Ticks{0, 5760, 11520}, 0},
		{"adts cut anywhere", nil, []scripted{{payload: adts(1, 2)[:8]}, {payload: joined(adts(1, 2)[8:], adts(3))}}, [][]byte{{1, 2}, {3}}, []media.Ticks{0, 5760}, 0},
		{"not described", nil, []scripted{{payload: []byte{0, 16, 0, 8, 5}}}, nil, nil, 1},
		{"described by adts inside", nil, []scripted{{payload: append([]byte{0, 16, 0, 8 << 3}, adts(9)...)}, {ts: 1024, payload: []byte{0, 16, 0, 8, 5}}}, [][]byte{{9}, {5}}, []media.Ticks{0, 5760}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := DepacketizerOptions{Track: c.track}
			if c.track == nil {
				o.Codec = media.CodecAAC
			}
			d, frames := unpacker(t, o)
			play(d, c.packets)
			require.Len(t, *frames, len(c.want))
			for i, f := range *frames {
				require.Equal(t, c.want[i], f.Payload)
				require.Equal(t, *conf, *f.Config)
				require.Same(t, (*frames)[0].Config, f.Config)
				require.Equal(t, c.pts[i], f.PTS, "frame %d", i)
			}
			require.Equal(t, c.invalid, d.Stats().Invalid)
		})
	}
}

func TestLATMMayCarryItsConfiguration(t *testing.T) {
	conf := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}
	e := mpeg4audio.AudioMuxElement{
		MuxConfigPresent: true,
		StreamMuxConfig: &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
			AudioSpecificConfig: conf, LatmBufferFullness: 255,
		}}}}},
		Payloads: [][][][]byte{{{{1, 2, 3, 4}}}},
	}
	first, err := e.Marshal()
	require.NoError(t, err)
	e.UseSameStreamMux = true
	second, err := e.Marshal()
	require.NoError(t, err)
	d, frames := unpacker(t, DepacketizerOptions{Track: trackOf(t, &format.MPEG4AudioLATM{PayloadTyp: 97, CPresent: true})})
	play(d, []scripted{
		{payload: second, marker: true},
		{payload: first[:3]},
		{payload: first[3:], marker: true},
		{ts: 1920, payload: second, marker: true},
	})
	require.Len(t, *frames, 2)
	require.Equal(t, 48000, (*frames)[1].Config.SampleRate)
	require.Same(t, (*frames)[0].Config, (*frames)[1].Config)
	require.Equal(t, []byte{1, 2, 3, 4}, (*frames)[1].Payload)
	require.EqualValues(t, 1920, (*frames)[1].PTS)
	require.EqualValues(t, 1, d.Stats().Invalid, "without configuration")
}

func TestWhatCannotBeUnpackedIsRefused(t *testing.T) {
	for _, c := range []struct {
		o    DepacketizerOptions
		want error
	}{
		{DepacketizerOptions{Track: trackOf(t, &format.H264{PacketizationMode: 2})}, ErrInterleaved},
		{DepacketizerOptions{Track: trackOf(t, &format.VP8{})}, ErrCodec},
		{DepacketizerOptions{Codec: media.CodecVP9}, ErrCodec},
		{DepacketizerOptions{Codec: media.CodecUnknown}, ErrCodec},
	} {
		_, err := NewDepacketizer(c.o)
		require.ErrorIs(t, err, c.want)
	}
	_, err := NewPacketizer(PacketizerOptions{Track: trackOf(t, &format.AV1{})})
	require.ErrorIs(t, err, ErrCodec)
	_, err = NewPacketizer(PacketizerOptions{Track: trackOf(t, &format.MPEG4AudioLATM{CPresent: true})})
	require.ErrorIs(t, err, ErrCodec)
}

func TestMPEGAudioIsPutTogether(t *testing.T) {
	head := []byte{0xff, 0xfb, 0x90, 0x00} // 417 bytes a frame
	rest := bytes.Repeat([]byte{7}, 413)
	low := joined([]byte{0xff, 0xf3, 0x40, 0x00}, bytes.Repeat([]byte{7}, 100)) // MPEG-2: 104 bytes
	at := func(offset int, b ...byte) []byte { return append([]byte{0, 0, byte(offset >> 8), byte(offset)}, b...) }
	for _, c := range []struct {
		name    string
		script  []scripted
		want    [][]byte
		damaged uint64
		invalid uint64
	}{
		{"whole", []scripted{{payload: at(0, joined(head, rest)...)}}, [][]byte{joined(head, rest)}, 0, 0},
		{"of a low rate", []scripted{{payload: at(0, low...)}}, [][]byte{low}, 0, 0},
		{"several", []scripted{{payload: at(0, joined(low, low)...)}}, [][]byte{joined(low, low)}, 0, 0},
		{"fragments", []scripted{{payload: at(0, joined(head, rest[:100])...)}, {payload: at(104, rest[100:]...)}}, [][]byte{joined(head, rest)}, 0, 0},
		{"a fragment alone", []scripted{{payload: at(104, rest[100:]...)}}, nil, 1, 0},
		{"a fragment lost", []scripted{{payload: at(0, joined(head, rest[:100])...)}, {lost: true, payload: at(204, rest[200:]...)}}, nil, 1, 0},
		{"a fragment too long", []scripted{{payload: at(0, joined(head, rest[:100])...)}, {payload: at(104, joined(rest, rest)...)}}, nil, 1, 0},
		{"no frame", []scripted{{payload: at(0, 1, 2, 3, 4, 5, 6)}}, nil, 0, 1},
		{"nothing", []scripted{{payload: at(0)}}, nil, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, frames := unpacker(t, DepacketizerOptions{Codec: media.CodecMP3})
			require.Equal(t, media.CodecMPA, d.Codec())
			play(d, c.script)
			require.Len(t, *frames, len(c.want))
			for i, f := range *frames {
				require.Equal(t, c.want[i], f.Payload)
			}
			require.Equal(t, c.damaged, d.Stats().Damaged)
			require.Equal(t, c.invalid, d.Stats().Invalid)
		})
	}
}

func TestPiecesOfAudioAreBounded(t *testing.T) {
	latm := &format.MPEG4AudioLATM{PayloadTyp: 97, CPresent: true}
	for _, o := range []DepacketizerOptions{{Codec: media.CodecAAC}, {Track: trackOf(t, latm)}} {
		d, _ := unpacker(t, o)
		s := &source{}
		d.Write(s.packet(false, 0xff, 0xf1, 0x60, 0x43, 0xff, 0xff, 0xfc)) // a frame of 8191 bytes
		for range 200 {
			d.Write(s.packet(false, make([]byte, 1000)...))
			require.LessOrEqual(t, len(d.part), maxAudioFrame)
		}
		require.NotZero(t, d.Stats().Damaged+d.Stats().Invalid)
	}
}

func TestADTSWithAChecksumIsRead(t *testing.T) {
	d, frames := unpacker(t, DepacketizerOptions{Codec: media.CodecAAC})
	d.Write((&source{}).packet(true, 0xff, 0xf0, 0x60, 0x00, 0x01, 0x5f, 0xfc, 0xaa, 0xbb, 7))
	require.Len(t, *frames, 1)
	require.Equal(t, []byte{7}, (*frames)[0].Payload)
	require.EqualValues(t, 1, (*frames)[0].Config.ChannelConfig, "where the layout is in the stream")
	d.Write((&source{}).packet(true, 0xff, 0xf1, 0x60, 0x00, 0x00, 0x1f, 0xfc, 0, 0)) // shorter than its header
	require.Len(t, *frames, 1)
}
