package remux

import (
	"bytes"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
	"berth/media/annexb"
)

// fuzzSources are what packets may belong to.
func fuzzSources(t *testing.T) []DepacketizerOptions {
	latm := &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
		AudioSpecificConfig: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2},
	}}}}}
	return []DepacketizerOptions{
		{Codec: media.CodecH264},
		{Codec: media.CodecH265},
		{Codec: media.CodecAAC},
		{Codec: media.CodecMPA},
		{Codec: media.CodecOpus},
		{Track: aacTrack(t)},
		{Track: trackOf(t, &format.H265{PayloadTyp: 96, MaxDONDiff: 2}), KeyPatience: -1},
		{Track: trackOf(t, &format.MPEG4AudioLATM{PayloadTyp: 97, CPresent: true})},
		{Track: trackOf(t, &format.MPEG4AudioLATM{PayloadTyp: 97, StreamMuxConfig: latm})},
	}
}

// FuzzDepacketizer cuts its input into packets: a byte of flags, a byte of size, the payload.
func FuzzDepacketizer(f *testing.F) {
	f.Add(uint8(0), joined([]byte{1, 5, 0x67, 0x42, 0, 30, 5, 1, 2, 0x68, 7, 1, 3, 0x65, 0x88, 1}, []byte{2, 3, 0x7c, 0x85, 0x88, 3, 3, 0x7c, 0x45, 9}))
	f.Add(uint8(1), []byte{1, 4, 19 << 1, 1, 0x80, 9, 0, 5, 49 << 1, 1, 0x80 | 19, 0x80, 1})
	f.Add(uint8(2), []byte{0, 9, 0xff, 0xf1, 0x60, 0x40, 0x01, 0x3f, 0xfc, 1, 2})
	f.Add(uint8(3), []byte{0, 10, 0, 0, 0, 0, 0xff, 0xfb, 0x90, 0, 1, 2})
	f.Add(uint8(5), []byte{0, 9, 0, 32, 0, 8, 0, 16, 5, 6, 7})
	f.Add(uint8(7), []byte{1, 9, 0x20, 0x00, 0x11, 0x90, 0x10, 0x7f, 0x80, 1, 2})
	f.Fuzz(func(t *testing.T, which uint8, input []byte) {
		sources := fuzzSources(t)
		o := sources[int(which)%len(sources)]
		o.FrameBytes = 4096
		o.Emit = func(f *media.Frame) {
			if f.DTS > f.PTS || len(f.Payload) == 0 {
				t.Fatalf("frame at %d/%d of %d bytes", f.PTS, f.DTS, len(f.Payload))
			}
			if kindOf(f.Codec) == nil {
				return
			}
			if len(f.Payload) > o.FrameBytes+maxParameterBytes {
				t.Fatalf("%d bytes", len(f.Payload))
			}
			if f.Key != annexb.Key(f.Codec, f.Payload) {
				t.Fatal("key flag")
			}
		}
		d, err := NewDepacketizer(o)
		if err != nil {
			t.Fatal(err)
		}
		s := &source{seq: 65500}
		for len(input) >= 2 {
			flags, n := input[0], min(int(input[1]), len(input)-2)
			if flags&2 != 0 {
				s.ts += 3600 * uint32(flags>>4)
			}
			if flags&4 != 0 {
				s.seq++
			}
			d.Write(s.packet(flags&1 != 0, input[2:2+n]...))
			input = input[2+n:]
			if len(d.unit.params) > maxParameterBytes+512 || len(d.part) > maxAudioFrame+len(input) {
				t.Fatal("kept too much")
			}
		}
		d.Flush()
	})
}

// FuzzPackets takes anything for a packet.
func FuzzPackets(f *testing.F) {
	f.Add([]byte{0xb1, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 1, 7, 7, 7, 7, 5, 6, 0, 2})
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, pkt []byte) {
		d, err := NewDepacketizer(DepacketizerOptions{Codec: media.CodecH264, Emit: func(*media.Frame) {}})
		if err != nil {
			t.Fatal(err)
		}
		d.Write(pkt)
		d.Write(pkt)
		ParseReport(pkt)
	})
}

// FuzzRoundTrip packs any bytes as an access unit, and what comes out again is the same units.
func FuzzRoundTrip(f *testing.F) {
	f.Add(false, uint16(100), stream(testSPS, testPPS, []byte{0x65, 0x88, 1, 2}))
	f.Add(true, uint16(80), stream(testVPS, hevcSPS, hevcPPS, []byte{19 << 1, 1, 0x80, 1}))
	f.Fuzz(func(t *testing.T, h265 bool, mtu uint16, accessUnit []byte) {
		track, kind := trackOf(t, &format.H264{PayloadTyp: 96}), kindH264
		if h265 {
			track, kind = trackOf(t, &format.H265{PayloadTyp: 96}), kindH265
		}
		var packets [][]byte
		p, err := NewPacketizer(PacketizerOptions{Track: track, MTU: int(mtu), Emit: func(pkt []byte) { packets = append(packets, bytes.Clone(pkt)) }})
		if err != nil {
			t.Fatal(err)
		}
		p.Write(&media.Frame{Codec: track.Codec, Payload: accessUnit})
		d, frames := unpacker(t, DepacketizerOptions{Track: track, KeyPatience: -1})
		for i, pkt := range packets {
			if len(pkt) > max(int(mtu), DefaultVideoMTU) || (pkt[1]&0x80 != 0) != (i == len(packets)-1) {
				t.Fatalf("packet %d of %d: %d bytes, % x", i, len(packets), len(pkt), pkt[:12])
			}
			d.Write(pkt)
		}
		d.Flush()
		var want []byte
		for _, u := range units(accessUnit) {
			if kind(u) != unitInvalid {
				want = annexb.Append(want, u)
			}
		}
		switch {
		case len(want) == 0:
			if len(packets) != 0 {
				t.Fatal("packets of nothing")
			}
		case len(*frames) != 1 || !bytes.Equal((*frames)[0].Payload, want):
			t.Fatalf("% x became %v", want, *frames)
		}
	})
}

// FuzzAssembler feeds any order of frames, times, holes and announcements.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0, 0, 40, 0, 2, 0, 20, 0, 1, 0, 40, 16, 2, 1, 20, 9, 7, 0, 0, 0, 0, 0, 255, 255})
	f.Add([]byte{8, 0, 0, 0, 4, 0, 40, 0, 6, 3, 40, 1, 5, 255, 40, 200, 0, 128, 40, 3, 3, 0, 1, 0, 9, 0, 0, 0})
	f.Fuzz(func(t *testing.T, input []byte) {
		var a *Assembler
		now := start()
		tracks := 0
		o := AssemblerOptions{UnreadyFrames: 8, KeepBytes: 4000}
		if len(input) > 0 {
			o.OnlyTrack, o.NoAudio, o.PassDamage = int(input[0]>>2&3), input[0]&16 != 0, input[0]&32 != 0
		}
		asked := false
		answer := func() {
			if asked {
				asked = false
				a.Attached([]int{0, 1}[:tracks])
			}
		}
		o.Ready = func(list []*media.Track) {
			if asked = true; len(list) == 0 || len(list) > 2 {
				t.Fatalf("%d tracks", len(list))
			}
			tracks = len(list)
			if len(input)&1 == 0 {
				answer()
			}
		}
		o.Write = func(track int, _ time.Time, pkt []byte) {
			if _, ok := media.ParseRTP(pkt); !ok || track < 0 || track >= tracks {
				t.Fatalf("track %d of %d: % x", track, tracks, pkt)
			}
		}
		o.WriteRTCP = func(track int, _ time.Time, pkt []byte) {
			if _, _, ok := ParseReport(pkt); !ok || track < 0 || track >= tracks {
				t.Fatalf("track %d of %d: % x", track, tracks, pkt)
			}
		}
		a = NewAssembler(o)
		confs := []*mpeg4audio.AudioSpecificConfig{nil, {Type: 2, SampleRate: 8000, ChannelConfig: 1}, {Type: 2, SampleRate: 44100, ChannelConfig: 2}}
		for ; len(input) >= 4; input = input[4:] {
			now = now.Add(time.Duration(int8(input[2])) * 10 * time.Millisecond)
			pts := media.Ticks(int8(input[1])) * media.Ticks(input[3]) * 3600
			if input[1] == 128 {
				pts = 1<<63 - 1 - media.Ticks(input[3])
			}
			frame := media.Frame{PTS: pts, DTS: pts - media.Ticks(input[3]&3)*1800}
			id := int(input[0] >> 4)
			switch input[0] & 15 {
			case 0, 1:
				frame = keyFrame(pts)
			case 2, 3:
				frame.Codec, frame.Payload = media.CodecH264, stream([]byte{0x41, 0x9a, input[3]})
			case 4:
				frame = hevcKey(pts)
			case 5:
				frame.Codec, frame.Payload, frame.Key = media.CodecAAC, []byte{1, input[3]}, true
				frame.Config = confs[int(input[3])%3]
			case 6, 7:
				frame = g711(pts)
			case 8:
				a.Announce([]Elementary{{id, media.Codec(input[1])}, {int(input[3]), media.CodecAAC}})
			case 9:
				a.Gap(now)
			case 10:
				a.Tick(now)
			case 11:
				answer()
			case 12:
				frame.Codec, frame.Payload = media.CodecH264, stream([]byte{0x67, 0x42, 0, input[3], 5}, testPPS)
			default:
				frame.Codec, frame.Payload = media.Codec(input[3]%30), append([]byte{0xff, 0xfb, 0x90}, input...)
			}
			if frame.Payload != nil {
				a.Frame(now, id, &frame)
			}
			if a.kept.bytes > o.KeepBytes+len(frame.Payload) || len(a.kept.frames) > 2*o.UnreadyFrames || len(a.streams) > maxElementaries {
				t.Fatalf("keeps %d bytes in %d frames of %d streams", a.kept.bytes, len(a.kept.frames), len(a.streams))
			}
		}
		a.Close()
	})
}
