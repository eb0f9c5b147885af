package mpegps

import (
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

// Frames that are wanted, in short.

func pic(pts media.Ticks, key bool, payload ...[]byte) got {
	return got{pes.IDVideo, media.CodecH264, pts, pts, key, join(payload...), nil}
}

func pic5(pts media.Ticks, key bool, payload ...[]byte) got {
	return got{pes.IDVideo, media.CodecH265, pts, pts, key, join(payload...), nil}
}

func sound(c media.Codec, pts media.Ticks, payload []byte) got {
	return got{pes.IDAudio, c, pts, pts, true, payload, nil}
}

func aac(pts media.Ticks, payload []byte) got {
	return got{pes.IDAudio, media.CodecAAC, pts, pts, true, payload, &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 44100, ChannelConfig: 2}}
}

// starts are a pack with all headers that a video stream of H.264 with A law begins with.
func starts(scr media.Ticks) []byte {
	return join(packAt(scr), systemHeader(pes.IDVideo, pes.IDAudio), streamMap(pes.TypeH264, pes.IDVideo, pes.TypePCMA, pes.IDAudio))
}

// head264 is what comes before a picture that a decoder can begin with.
func head264() []byte { return join(sps(), pps()) }

// badMap spoils a program stream map.
func badMap(spoil func(b []byte), pairs ...byte) []byte {
	b := streamMap(pairs...)
	spoil(b)
	return b
}

// oddity is one shape of program stream, and what has to come out of it however it is cut.
type oddity struct {
	name  string
	input [][]byte
	want  []got
	stats Stats // of these only the fields that tell of trouble are held against what is counted
}

func fragment(b []byte, n int) [][]byte { return slices.Collect(slices.Chunk(b, n)) }

var (
	big   = idr(9, 150_000) // three packets
	law   = filler(40, 320)
	aacs  = [][]byte{filler(50, 200), filler(51, 333), filler(52, 150), filler(53, 90)}
	parts = fragment(join(head264(), big), 60_000)
	tiny  = fragment(join(head264(), idr(1, 5000)), 1000)
)

var oddities = []oddity{
	{name: "headers, video and audio", input: [][]byte{
		starts(900), video(1000, head264(), idr(1, 500)), packAt(1000), audio(1100, law), packAt(4000), video(4600, inter(2, 300)), packAt(5000), audio(4700, law),
	}, want: []got{sound(media.CodecPCMA, 1100, law), pic(1000, true, head264(), idr(1, 500)), sound(media.CodecPCMA, 4700, law), pic(4600, false, inter(2, 300))}},
	{name: "stuffing in pack headers", input: [][]byte{
		stuffedPack(900), streamMap(pes.TypeH264, pes.IDVideo), video(1000, head264(), idr(1, 500)), stuffedPack(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
	{name: "mpeg-1 packs and packets", input: [][]byte{
		{0, 0, 1, idPack, 0x21, 0, 1, 0, 1, 0x80, 0, 1},
		packet{id: pes.IDVideo, pts: 1000, dts: 900, mpeg1: true, payload: join(head264(), idr(1, 500))}.bytes(),
		packet{id: pes.IDVideo, pts: -1, mpeg1: true, payload: moreIDR(7, 100)}.bytes(),
		packet{id: pes.IDVideo, pts: 5000, mpeg1: true, payload: inter(2, 300)}.bytes(),
		{0, 0, 1, idEnd},
	}, want: []got{{pes.IDVideo, media.CodecH264, 1000, 900, true, join(head264(), idr(1, 500), moreIDR(7, 100)), nil}, pic(5000, false, inter(2, 300))}},
	{name: "neither system header nor map", input: [][]byte{
		packAt(0), video(1000, head264(), idr(1, 500)), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
	{name: "no map, h265", input: [][]byte{
		packAt(0), video(1000, vps5(), sps5(), pps5(), idr5(1, 500)), packAt(4000), video(4600, inter5(2, 300)),
	}, want: []got{pic5(1000, true, vps5(), sps5(), pps5(), idr5(1, 500)), pic5(4600, false, inter5(2, 300))}},
	{name: "no pack headers at all", input: [][]byte{video(1000, head264(), idr(1, 500)), video(4600, inter(2, 300))}, want: []got{
		pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300)),
	}},
	{name: "map says h264, stream is h265", input: [][]byte{
		packAt(0), streamMap(pes.TypeH264, pes.IDVideo), video(1000, vps5(), sps5(), pps5(), idr5(1, 500)), packAt(4000), video(4600, inter5(2, 300)),
	}, want: []got{pic5(1000, true, vps5(), sps5(), pps5(), idr5(1, 500)), pic5(4600, false, inter5(2, 300))}},
	{name: "map says h265, stream is h264", input: [][]byte{
		packAt(0), streamMap(pes.TypeH265, pes.IDVideo), video(1000, head264(), idr(1, 500)), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
	{name: "map says mpeg-4, stream is h264", input: [][]byte{
		packAt(0), streamMap(pes.TypeMPEG4Video, pes.IDVideo), video(1000, head264(), idr(1, 500)), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
	{name: "map says mpeg-2, stream is h264", input: [][]byte{
		packAt(0), streamMap(pes.TypeMPEG2Video, pes.IDVideo), video(1000, head264(), idr(1, 500)), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
	{name: "map says g711, stream is aac", input: [][]byte{
		packAt(0), streamMap(pes.TypePCMA, pes.IDAudio), audio(1000, adts(aacs[0])), audio(3090, adts(aacs[1])),
	}, want: []got{aac(1000, aacs[0]), aac(3090, aacs[1])}},
	{name: "map comes late", input: [][]byte{
		packAt(0), audio(500, law), video(1000, inter(8, 300)), video(4600, inter(9, 300)),
		starts(8000), audio(8100, law), video(8200, head264(), idr(1, 500)), video(11800, inter(2, 300)),
	}, want: []got{
		pic(1000, false, inter(8, 300)), sound(media.CodecPCMA, 8100, law), pic(4600, false, inter(9, 300)), pic(8200, true, head264(), idr(1, 500)), pic(11800, false, inter(2, 300)),
	}, stats: Stats{Unknown: 1}},
	{name: "map changes from h264 to h265", input: [][]byte{
		packAt(0), streamMap(pes.TypeH264, pes.IDVideo), video(1000, head264(), idr(1, 500)), packAt(4000), streamMap(pes.TypeH265, pes.IDVideo), video(4600, vps5(), sps5(), pps5(), idr5(1, 500)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic5(4600, true, vps5(), sps5(), pps5(), idr5(1, 500))}},
	{name: "map changes the audio", input: [][]byte{
		packAt(0), streamMap(pes.TypePCMA, pes.IDAudio), audio(1000, law), streamMap(pes.TypePCMU, pes.IDAudio), audio(3000, law), streamMap(pes.TypeADTS, pes.IDAudio), audio(5000, adts(aacs[0])),
	}, want: []got{sound(media.CodecPCMA, 1000, law), sound(media.CodecPCMU, 3000, law), aac(5000, aacs[0])}},
	{name: "map with a crc of zero", input: [][]byte{
		packAt(0), badMap(func(b []byte) { clear(b[len(b)-4:]) }, pes.TypePCMU, pes.IDAudio), audio(1000, law),
	}, want: []got{sound(media.CodecPCMU, 1000, law)}},
	{name: "map with a wrong crc", input: [][]byte{
		packAt(0), badMap(func(b []byte) { b[len(b)-1] ^= 1 }, pes.TypePCMU, pes.IDAudio), audio(1000, law),
	}, want: []got{sound(media.CodecPCMU, 1000, law)}, stats: Stats{BadMaps: 1}},
	{name: "map with a wrong inner length", input: [][]byte{
		packAt(0), badMap(func(b []byte) { b[10], b[11] = 0, 0; clear(b[len(b)-4:]) }, pes.TypePCMU, pes.IDAudio), audio(1000, law),
	}, want: []got{sound(media.CodecPCMU, 1000, law)}},
	{name: "map with impossible descriptors", input: [][]byte{
		packAt(0), badMap(func(b []byte) { b[8], b[9] = 0xff, 0xff }, pes.TypePCMU, pes.IDAudio), packAt(10), streamMap(pes.TypePCMU, pes.IDAudio), audio(1000, law),
	}, want: []got{sound(media.CodecPCMU, 1000, law)}, stats: Stats{BadMaps: 1}},
	{name: "map that is too short", input: [][]byte{
		packAt(0), {0, 0, 1, pes.IDMap, 0, 4, 1, 2, 3, 4}, streamMap(pes.TypePCMU, pes.IDAudio), audio(1000, law),
	}, want: []got{sound(media.CodecPCMU, 1000, law)}, stats: Stats{BadMaps: 1}},
	{name: "hikvision's private streams", input: [][]byte{
		packAt(0), streamMap(pes.TypeH264, pes.IDVideo, 0xbd, 0xbd, pes.TypePCMA, pes.IDAudio),
		packet{id: pes.IDPrivate1, pts: 1000, payload: filler(3, 40)}.bytes(), video(1000, head264(), idr(1, 500)),
		join([]byte{0, 0, 1, pes.IDPrivate2, 0, 20}, filler(4, 20)), join([]byte{0, 0, 1, pes.IDPadding, 0, 30}, slices.Repeat([]byte{0xff}, 30)),
		packAt(4000), packet{id: pes.IDPrivate1, pts: -1, payload: join([]byte{0, 0, 1, idPack}, filler(3, 40))}.bytes(), video(4600, inter(2, 300)), audio(4700, law),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), sound(media.CodecPCMA, 4700, law), pic(4600, false, inter(2, 300))}},
	{name: "audio that the map puts into private_stream_1", input: [][]byte{
		packAt(0), streamMap(pes.TypePCMA, pes.IDPrivate1), packet{id: pes.IDPrivate1, pts: 1000, payload: law}.bytes(),
	}, want: []got{{pes.IDPrivate1, media.CodecPCMA, 1000, 1000, true, law, nil}}},
	{name: "private packet without a length", input: [][]byte{
		packAt(0), {0, 0, 1, pes.IDPrivate2, 0, 0, 9, 9, 9}, packAt(10), streamMap(pes.TypePCMU, pes.IDAudio), audio(1000, law),
	}, want: []got{sound(media.CodecPCMU, 1000, law)}, stats: Stats{Skipped: 3}},
	{name: "packets without a length", input: [][]byte{
		starts(900), packet{id: pes.IDVideo, pts: 1000, payload: join(head264(), idr(1, 70_000)), length: unbounded}.bytes(),
		packAt(4000), packet{id: pes.IDVideo, pts: 4600, payload: inter(2, 300), length: unbounded}.bytes(),
		packet{id: pes.IDAudio, pts: 4700, payload: law, length: unbounded}.bytes(), packet{id: pes.IDVideo, pts: 8200, payload: inter(3, 30), length: unbounded}.bytes(),
	}, want: []got{pic(1000, true, head264(), idr(1, 70_000)), sound(media.CodecPCMA, 4700, law), pic(4600, false, inter(2, 300)), pic(8200, false, inter(3, 30))}},
	{name: "access unit of more than 64 KB", input: [][]byte{
		starts(900), video(1000, parts[0]), video(-1, parts[1]), video(-1, parts[2]), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), big), pic(4600, false, inter(2, 300))}},
	{name: "access unit of more than 64 KB, the time in each packet", input: [][]byte{
		starts(900), video(1000, parts[0]), video(1000, parts[1]), video(1000, parts[2]), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), big), pic(4600, false, inter(2, 300))}},
	{name: "access unit of more than 64 KB, a pack for each packet", input: [][]byte{
		starts(900), video(1000, parts[0]), packAt(910), video(-1, parts[1]), packAt(920), video(-1, parts[2]), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), big), pic(4600, false, inter(2, 300))}},
	{name: "audio within an access unit", input: [][]byte{
		starts(900), video(1000, parts[0]), audio(1100, law), video(-1, parts[1]), video(-1, parts[2]), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{sound(media.CodecPCMA, 1100, law), pic(1000, true, head264(), big), pic(4600, false, inter(2, 300))}},
	{name: "small packets", input: [][]byte{
		starts(900), video(1000, tiny[0]), video(-1, tiny[1]), video(-1, tiny[2]), video(-1, tiny[3]), video(-1, tiny[4]), video(-1, tiny[5]), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 5000)), pic(4600, false, inter(2, 300))}},
	{name: "each NAL unit in its packet, all with the time", input: [][]byte{
		starts(900), video(1000, sps()), video(1000, pps()), video(1000, sei()), video(1000, idr(1, 500)), packAt(4000), video(4600, inter(2, 300)),
		starts(8000), video(8200, sps()), video(8200, pps()), video(8200, sei()), video(8200, idr(3, 500)),
	}, want: []got{pic(1000, true, head264(), sei(), idr(1, 500)), pic(4600, false, inter(2, 300)), pic(8200, true, head264(), sei(), idr(3, 500))}},
	{name: "each NAL unit in its packet, the first with the time", input: [][]byte{
		starts(900), video(1000, sps()), video(-1, pps()), video(-1, idr(1, 500)), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
	{name: "parameter sets with another time than their picture", input: [][]byte{
		starts(900), video(990, sps(), pps()), video(1000, idr(1, 500)), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
	{name: "slices of one picture in several packets", input: [][]byte{
		starts(900), video(1000, head264(), idr(1, 500)), video(1000, moreIDR(2, 500)), video(-1, moreIDR(3, 500)), video(4600, inter(2, 300)), video(4600, moreSlice(4, 100)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500), moreIDR(2, 500), moreIDR(3, 500)), pic(4600, false, inter(2, 300), moreSlice(4, 100))}},
	{name: "every packet with the same time", input: [][]byte{
		starts(900), video(0, head264(), idr(1, 500)), packAt(900), video(0, inter(2, 300)), packAt(900), video(0, sei(), inter(3, 200)), video(0, moreSlice(4, 100)),
	}, want: []got{pic(0, true, head264(), idr(1, 500)), pic(0, false, inter(2, 300)), pic(0, false, sei(), inter(3, 200), moreSlice(4, 100))}},
	{name: "no times but those of the packs", input: [][]byte{
		starts(900), video(-1, head264(), idr(1, 500)), video(-1, moreIDR(2, 100)), packAt(4500), video(-1, inter(2, 300)), packAt(4600), audio(-1, law), packAt(8100), video(-1, inter(3, 200)),
	}, want: []got{pic(900, true, head264(), idr(1, 500), moreIDR(2, 100)), sound(media.CodecPCMA, 4600, law), pic(4500, false, inter(2, 300)), pic(8100, false, inter(3, 200))}},
	{name: "no time for some pictures", input: [][]byte{
		starts(900), video(1000, head264(), idr(1, 500)), video(4600, inter(2, 300)), video(-1, inter(3, 200)), video(11800, inter(4, 200)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300)), pic(8200, false, inter(3, 200)), pic(11800, false, inter(4, 200))}},
	{name: "access units anywhere in packets", input: [][]byte{
		packAt(0), video(1000, head264(), idr(1, 500), inter(2, 300), inter(3, 300)[:50]), packAt(0), video(12000, inter(3, 300)[50:], aud(), inter(4, 100), inter(5, 100)[:3]),
		packAt(0), video(19200, inter(5, 100)[3:], inter(6, 100)),
	}, want: []got{
		pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300)), pic(8200, false, inter(3, 300)),
		pic(12000, false, aud(), inter(4, 100)), pic(12000+3666, false, inter(5, 100)), pic(19200, false, inter(6, 100)),
	}},
	{name: "times of decoding", input: [][]byte{
		starts(900), packet{id: pes.IDVideo, pts: 8200, dts: 1000, payload: join(head264(), idr(1, 500))}.bytes(), packet{id: pes.IDVideo, pts: 19000, dts: 4600, payload: inter(2, 300)}.bytes(),
		packet{id: pes.IDVideo, pts: 11800, dts: 8_000_000, payload: inter(3, 300)}.bytes(),
	}, want: []got{
		{pes.IDVideo, media.CodecH264, 8200, 1000, true, join(head264(), idr(1, 500)), nil},
		{pes.IDVideo, media.CodecH264, 19000, 4600, false, inter(2, 300), nil},
		pic(11800, false, inter(3, 300)),
	}},
	{name: "time stamps wrap", input: [][]byte{
		starts(900), video(wrap-1000, head264(), idr(1, 500)), audio(wrap-500, law), video(2600, inter(2, 300)), audio(3100, law), packet{id: pes.IDVideo, pts: 6200, dts: wrap - 100, payload: inter(3, 300)}.bytes(),
	}, want: []got{
		sound(media.CodecPCMA, wrap-500, law), pic(wrap-1000, true, head264(), idr(1, 500)), sound(media.CodecPCMA, wrap+3100, law),
		pic(wrap+2600, false, inter(2, 300)),
		{pes.IDVideo, media.CodecH264, wrap + 6200, wrap - 100, false, inter(3, 300), nil},
	}},
	{name: "audio joins after a wrap", input: [][]byte{
		starts(900), video(wrap-1000, head264(), idr(1, 500)), video(2600, inter(2, 300)), audio(3100, law),
	}, want: []got{pic(wrap-1000, true, head264(), idr(1, 500)), sound(media.CodecPCMA, wrap+3100, law), pic(wrap+2600, false, inter(2, 300))}},
	{name: "time jumps forwards and back", input: [][]byte{
		starts(900), video(1000, head264(), idr(1, 500)), video(900_000_000, inter(2, 300)), video(4600, inter(3, 300)), video(8200, inter(4, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(900_000_000, false, inter(2, 300)), pic(4600, false, inter(3, 300)), pic(8200, false, inter(4, 300))}},
	{name: "several frames of aac in a packet", input: [][]byte{
		packAt(0), streamMap(pes.TypeADTS, pes.IDAudio), audio(1000, adts(aacs[0]), adts(aacs[1]), adts(aacs[2])), audio(1000+3*2089+2, adts(aacs[3])),
	}, want: []got{aac(1000, aacs[0]), aac(1000+2089, aacs[1]), aac(1000+4179, aacs[2]), aac(1000+3*2089+2, aacs[3])}},
	{name: "frames of aac cut by packets", input: [][]byte{
		packAt(0), streamMap(pes.TypeADTS, pes.IDAudio), audio(1000, adts(aacs[0]), adts(aacs[1])[:100]), packAt(0), audio(6000, adts(aacs[1])[100:], adts(aacs[2])[:3]),
		audio(9000, adts(aacs[2])[3:], adts(aacs[3])),
	}, want: []got{aac(1000, aacs[0]), aac(3089, aacs[1]), aac(6000, aacs[2]), aac(9000, aacs[3])}},
	{name: "aac with crc", input: [][]byte{
		packAt(0), streamMap(pes.TypeADTS, pes.IDAudio), audio(1000, protected(aacs[0]), protected(aacs[1])),
	}, want: []got{aac(1000, aacs[0]), aac(3089, aacs[1])}},
	{name: "aac behind garbage", input: [][]byte{
		packAt(0), streamMap(pes.TypeADTS, pes.IDAudio), audio(1000, filler(1, 30), adts(aacs[0]), adts(aacs[1])), audio(6000, adts(aacs[2])),
	}, want: []got{aac(1000, aacs[0]), aac(3089, aacs[1]), aac(6000, aacs[2])}, stats: Stats{Skipped: 30, Damaged: 1}},
	{name: "aac without a map", input: [][]byte{packAt(0), audio(1000, adts(aacs[0])), audio(3089, adts(aacs[1]))}, want: []got{aac(1000, aacs[0]), aac(3089, aacs[1])}},
	{name: "other audio", input: [][]byte{
		packAt(0), streamMap(pes.TypeG722, pes.IDAudio, pes.TypeG723, pes.IDAudio+1, pes.TypeG729, pes.IDAudio+2, pes.TypeSVACAudio, pes.IDAudio+3),
		audio(1000, law), packet{id: pes.IDAudio + 1, pts: 1000, payload: law}.bytes(), packet{id: pes.IDAudio + 2, pts: 1000, payload: law}.bytes(), packet{id: pes.IDAudio + 3, pts: 1000, payload: law}.bytes(),
	}, want: []got{
		sound(media.CodecG722, 1000, law),
		{pes.IDAudio + 1, media.CodecG723, 1000, 1000, true, law, nil},
		{pes.IDAudio + 2, media.CodecG729, 1000, 1000, true, law, nil},
		{pes.IDAudio + 3, media.CodecSVACA, 1000, 1000, true, law, nil},
	}},
	{name: "svac, told apart by time", input: [][]byte{
		packAt(0), systemHeader(pes.IDVideo), streamMap(pes.TypeSVACVideo, pes.IDVideo), video(0, filler(1, 300)), video(-1, filler(2, 300)), video(3600, filler(3, 300)), video(3600, filler(4, 30)), video(7200, filler(5, 300)),
	}, want: []got{
		{pes.IDVideo, media.CodecSVACV, 0, 0, true, join(filler(1, 300), filler(2, 300)), nil},
		{pes.IDVideo, media.CodecSVACV, 3600, 3600, false, join(filler(3, 300), filler(4, 30)), nil},
		{pes.IDVideo, media.CodecSVACV, 7200, 7200, false, filler(5, 300), nil},
	}},
	{name: "garbage before the first start code", input: [][]byte{
		filler(1, 50), {0, 0, 1, 0x41, 0, 0, 0, 1, 0x65}, starts(900), video(1000, head264(), idr(1, 500)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500))}, stats: Stats{Skipped: 59}},
	{name: "zeros between packets", input: [][]byte{
		starts(900), {0, 0, 0, 0}, video(1000, head264(), idr(1, 500)), {0}, packAt(4000), {0, 0}, video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}, stats: Stats{Skipped: 7}},
	{name: "garbage between packets", input: [][]byte{
		starts(900), filler(1, 20), audio(1000, law), filler(2, 20), packAt(3000), audio(3880, law),
	}, want: []got{sound(media.CodecPCMA, 1000, law), sound(media.CodecPCMA, 3880, law)}, stats: Stats{Skipped: 40}},
	{name: "packet length counts its own header", input: [][]byte{
		starts(900), overlong(1000, 6, head264(), idr(1, 500)), packAt(4000), overlong(4600, 6, inter(2, 300)), packAt(8000), overlong(8200, 6, inter(3, 300)), packAt(9000),
		video(12000, inter(4, 50)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300)), pic(8200, false, inter(3, 300)), pic(12000, false, inter(4, 50))}, stats: Stats{Lengths: 3}},
	{name: "packet length reaches over several headers", input: [][]byte{
		starts(900), overlong(1000, 200, head264(), idr(1, 500)), packAt(4000), video(4600, inter(2, 300)), packAt(8000), video(8200, inter(3, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300)), pic(8200, false, inter(3, 300))}, stats: Stats{Lengths: 1}},
	{name: "packet length overflowed beyond 64 KB", input: [][]byte{
		starts(900), overlong(1000, -65536, head264(), idr(1, 100_000)), packAt(4000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 100_000)), pic(4600, false, inter(2, 300))}, stats: Stats{Lengths: 1}},
	{name: "system header of an impossible length", input: [][]byte{
		packAt(0), {0, 0, 1, idSystem, 0xff, 0xff, 1, 2, 3}, packAt(10), video(1000, head264(), idr(1, 500)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500))}, stats: Stats{Skipped: 9}},
	{name: "joined in the middle of a picture", input: [][]byte{
		video(-1, filler(1, 300), moreSlice(1, 100)), packAt(0), video(-1, moreSlice(1, 100)), video(4600, inter(2, 300)), video(8200, inter(3, 300)),
	}, want: []got{pic(4600, false, inter(2, 300)), pic(8200, false, inter(3, 300))}, stats: Stats{Unknown: 2}},
	{name: "empty packets", input: [][]byte{
		starts(900), video(1000), video(1000, head264(), idr(1, 500)), video(-1), audio(1000), video(4600, inter(2, 300)),
	}, want: []got{pic(1000, true, head264(), idr(1, 500)), pic(4600, false, inter(2, 300))}},
}

// protected is a frame of AAC with a CRC.
func protected(payload []byte) []byte {
	b := adts(append([]byte{1, 2}, payload...))
	b[1] &^= 1
	return b
}

// overlong is a packet whose length is wrong.
func overlong(pts media.Ticks, by int, payload ...[]byte) []byte {
	return packet{id: pes.IDVideo, pts: pts, payload: join(payload...), length: func(right int) int { return right + by }}.bytes()
}

func TestOddities(t *testing.T) {
	for _, c := range oddities {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range pieces {
				t.Log("in pieces of", piece)
				k := demux(piece, join(c.input...))
				requireFrames(t, c.want, k.frames)
				st := k.d.Stats()
				c.stats.Bytes, c.stats.Packs, c.stats.Packets, c.stats.Private, c.stats.Maps, c.stats.Frames = st.Bytes, st.Packs, st.Packets, st.Private, st.Maps, uint64(len(c.want))
				require.Equal(t, c.stats, st)
			}
		})
	}
}
