package mpegts

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/annexb"
	"berth/media/pes"
)

func TestPicturesWithoutLengthEndWithTheNext(t *testing.T) {
	w := newWire().tables(h264Entry)
	a, b, c := picture(true, 1000), picture(false, 300), picture(false, 10)
	w.pes(pidFirst, video(1000, a, true)).pes(pidFirst, video(4600, b, true)).pes(pidFirst, video(8200, c, true))
	got, d := outOf(w.b)
	require.Equal(t, [][]byte{a, b}, payloads(got))
	require.Equal(t, []media.Ticks{1000, 4600}, times(got))
	require.True(t, got[0].Key)
	require.False(t, got[1].Key)
	d.Flush()
	require.Equal(t, []Elementary{{ID: pidFirst, Type: pes.TypeH264, Codec: media.CodecH264}}, d.Streams())
	require.Equal(t, uint64(3), d.Stats().Frames)
}

// Once it is known that a PES packet holds one picture, its end is the end of the picture.
func TestPicturesWithALengthDoNotWaitForTheNext(t *testing.T) {
	w := newWire().tables(h264Entry)
	for i := range 10 {
		w.pes(pidFirst, video(media.Ticks(i)*3600, picture(i == 0, 500), false))
	}
	got, _ := outOf(w.b)
	require.Equal(t, 10, len(got))
}

func TestAFillingPacketEndsAPictureWhereItAlwaysDid(t *testing.T) {
	w := newWire().tables(h264Entry)
	for i := range 20 {
		w.pes(pidFirst, video(media.Ticks(i)*3600, picture(i == 0, 500), true))
	}
	got, _ := outOf(w.b)
	require.Equal(t, 20, len(got))
	// A picture with a filled packet in its middle is not lost, and nothing is let out early from there on.
	late := video(100000, picture(false, 300), true)
	w.packet(pidFirst, true, late[:100]).packet(pidFirst, false, late[100:200]).packet(pidFirst, false, late[200:])
	w.pes(pidFirst, video(110000, picture(false, 5), true))
	got, _ = outOf(w.b)
	var joined []byte
	for _, f := range got[20:] {
		joined = append(joined, f.Payload...)
	}
	require.Equal(t, picture(false, 300), joined)
}

func TestTheMarkerEndsAPictureWhereItAlwaysDid(t *testing.T) {
	// Pictures whose last packet is full show no other sign of their end.
	const full = 2*184 - 14
	frame := func(i int) []byte {
		return video(media.Ticks(i)*3600, picture(false, full-len(picture(false, 1))+1), true)
	}
	require.Len(t, frame(0), 2*184)
	for _, marked := range []bool{true, false} {
		var got []sent
		d := NewDemuxer(Options{})
		demuxed(d, &got, newWire().tables(h264Entry).b)
		w := newWire()
		for i := range 20 {
			w.b = w.b[:0]
			w.pes(pidFirst, frame(i))
			d.Write(w.b[:packetSize])
			if !marked {
				d.Mark() // this device marks every packet
			}
			d.Write(w.b[packetSize:])
			d.Mark()
		}
		if marked {
			require.Equal(t, 20, len(got))
		} else {
			require.Equal(t, 19, len(got))
		}
		for _, f := range got {
			require.Len(t, f.Payload, full)
		}
	}
}

func TestWhatBelongsToOnePictureIsJoined(t *testing.T) {
	params := annexb.Append(annexb.Append(nil, []byte{0x67, 0x64, 0, 0x1f}), []byte{0x68, 0xee, 0x3c})
	first := annexb.Append(nil, append([]byte{0x65, 0x88}, random(300)...))
	second := annexb.Append(nil, append([]byte{0x65, 0x10}, random(300)...)) // first_mb_in_slice is not 0
	next := picture(false, 100)
	untimed := func(b []byte) []byte { return append(pes.AppendContinuation(nil, pes.IDVideo, len(b)), b...) }
	for _, c := range []struct {
		name    string
		packets [][]byte
		want    [][]byte
	}{
		{"by equal times", [][]byte{video(9, params, false), video(9, first, false), video(9, second, false), video(3600, next, false)}, [][]byte{bytes.Join([][]byte{params, first, second}, nil), next}},
		{"without times", [][]byte{video(9, params, false), untimed(first), untimed(second), video(3600, next, false)}, [][]byte{bytes.Join([][]byte{params, first, second}, nil), next}},
		{"cut in a NAL unit", [][]byte{video(9, first[:50], false), untimed(first[50:]), video(3600, next, false)}, [][]byte{first, next}},
		{"another picture without a time", [][]byte{video(9, first, false), untimed(next), video(7200, next, false)}, [][]byte{first, next, next}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire().tables(h264Entry)
			for _, p := range c.packets {
				w.pes(pidFirst, p)
			}
			got, d := outOf(w.b)
			demuxed(d, &got)
			d.Flush()
			require.Equal(t, c.want, payloads(got))
			require.Zero(t, d.Stats().Damaged)
		})
	}
}

// A device whose pictures had one packet each, and then one of two, costs no bytes.
func TestAJoinThatComesLateLosesNothing(t *testing.T) {
	w := newWire().tables(h264Entry)
	for i := range 6 {
		w.pes(pidFirst, video(media.Ticks(i)*3600, picture(i == 0, 50), false))
	}
	a, b := picture(false, 400), annexb.Append(nil, append([]byte{0x41, 0x10}, random(100)...))
	for i := range 3 {
		at := media.Ticks(90000 + i*3600)
		w.pes(pidFirst, video(at, a, false)).pes(pidFirst, video(at, b, false))
	}
	got, d := outOf(w.b)
	demuxed(d, &got)
	d.Flush()
	require.Equal(t, [][]byte{a, b}, payloads(got[6:8]), "the first comes in two parts")
	require.Equal(t, times(got[6:8])[0], times(got[6:8])[1])
	require.Equal(t, [][]byte{append(bytes.Clone(a), b...), append(bytes.Clone(a), b...)}, payloads(got[8:]))
}

func TestLossCostsWhatItHits(t *testing.T) {
	sound := random(200)
	build := func() []byte {
		w := newWire().tables(h264Entry, aacEntry)
		for i := range 6 {
			w.pes(pidFirst, video(media.Ticks(i)*3600, picture(i == 0, 1000), false))
			w.pes(pidFirst+1, audio(media.Ticks(i)*3600, adts(sound)))
		}
		return w.b
	}
	// Six packets a picture, two of sound, behind two of tables.
	for _, c := range []struct {
		name          string
		lose          int // packet
		video, sounds int
		holes         uint64
	}{
		{"nothing", -1, 6, 6, 0},
		{"the middle of a picture", 2 + 8*2 + 3, 5, 6, 1},
		{"the beginning of a picture", 2 + 8*2, 5, 6, 1},
		{"the end of a picture", 2 + 8*2 + 5, 5, 6, 1},
		{"a part of sound", 2 + 8*3 + 6, 6, 5, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := build()
			if c.lose >= 0 {
				b = append(bytes.Clone(b[:c.lose*packetSize]), b[(c.lose+1)*packetSize:]...)
			}
			got, d := outOf(b)
			require.Equal(t, c.video, len(byTrack(got, 0)))
			require.Equal(t, c.sounds, len(byTrack(got, 1)))
			require.Equal(t, c.holes, d.Stats().Holes)
			for _, f := range byTrack(got, 0) {
				require.Equal(t, picture(f.Key, 1000), f.Payload, "whole pictures alone")
			}
		})
	}
}

func TestAGapDropsWhatIsUnderWay(t *testing.T) {
	var got []sent
	d := NewDemuxer(Options{})
	w := newWire().tables(h264Entry)
	w.pes(pidFirst, video(0, picture(true, 1000), true))
	demuxed(d, &got, w.b[:len(w.b)-packetSize])
	d.Gap()
	w.b = w.b[:0]
	w.pes(pidFirst, video(3600, picture(false, 100), true)).pes(pidFirst, video(7200, picture(false, 100), true))
	d.Write(w.b)
	require.Equal(t, [][]byte{picture(false, 100)}, payloads(got))
	require.Equal(t, uint64(1), d.Stats().Damaged)
	require.Zero(t, d.Stats().Holes, "the gap was told")
}

func TestPacketsThatCameTwiceCountOnce(t *testing.T) {
	w := newWire().tables(h264Entry)
	a := picture(true, 1000)
	w.pes(pidFirst, video(0, a, false)).pes(pidFirst, video(3600, picture(false, 10), false))
	var b []byte
	for p := w.b; len(p) > 0; p = p[packetSize:] {
		b = append(append(b, p[:packetSize]...), p[:packetSize]...)
	}
	got, d := outOf(b)
	require.Equal(t, a, got[0].Payload)
	require.Equal(t, uint64(len(w.b)/packetSize), d.Stats().Duplicates)
	require.Zero(t, d.Stats().Damaged)
}

func TestDamagedAndEncryptedPacketsAreNotUsed(t *testing.T) {
	w := newWire().tables(h264Entry)
	w.pes(pidFirst, video(0, picture(true, 500), false)).pes(pidFirst, video(3600, picture(false, 500), false)).pes(pidFirst, video(7200, picture(false, 500), false))
	mark := func(packet int, at int, or byte) []byte {
		b := bytes.Clone(w.b)
		b[packet*packetSize+at] |= or
		return b
	}
	got, d := outOf(mark(3, 1, 0x80))
	require.Equal(t, [][]byte{picture(false, 500)}, payloads(got))
	require.Equal(t, uint64(1), d.Stats().Damaged)
	got, d = outOf(mark(3, 3, 0xc0))
	require.Equal(t, [][]byte{picture(false, 500)}, payloads(got))
	require.Equal(t, uint64(1), d.Stats().Scrambled)
	for packet := range len(w.b) / packetSize { // an adaptation field that is longer than its packet
		b := mark(packet, 3, 0x20)
		b[packet*packetSize+4] = 0xff
		outOf(b)
	}
}

func TestTheSyncByteIsLostAndFound(t *testing.T) {
	tables := newWire().tables(h264Entry).b
	w := newWire()
	for i := range 8 {
		w.pes(pidFirst, video(media.Ticks(i)*3600, picture(i == 0, 300), false)) // two packets each
	}
	b := w.b
	for _, c := range []struct {
		name    string
		b       []byte
		frames  int
		skipped uint64
	}{
		{"from the beginning", b, 8, 0},
		{"garbage before", append([]byte("garbage G garbage"), b...), 8, 17},
		{"garbage between", append(append(bytes.Clone(b[:6*packetSize]), random(1000)...), b[6*packetSize:]...), 8, 1000},
		{"bytes are missing", append(bytes.Clone(b[:6*packetSize]), b[6*packetSize+50:]...), 7, packetSize - 50},
		{"one sync byte is wrong", append(append(bytes.Clone(b[:6*packetSize]), 0), b[6*packetSize+1:]...), 7, packetSize},
	} {
		for _, cut := range []int{1, 100, 188, 1316, 100000} {
			var got []sent
			d := NewDemuxer(Options{})
			demuxed(d, &got, tables)
			for rest := c.b; len(rest) > 0; {
				n := min(cut, len(rest))
				d.Write(rest[:n])
				rest = rest[n:]
			}
			d.Flush()
			require.Equal(t, c.frames, len(got), "%s, in pieces of %d", c.name, cut)
			require.Equal(t, c.skipped, d.Stats().Skipped, "%s, in pieces of %d", c.name, cut)
		}
	}
}

func TestPacketsOf204BytesAreRecognised(t *testing.T) {
	w := newWire().tables(h264Entry)
	for i := range 8 {
		w.pes(pidFirst, video(media.Ticks(i)*3600, picture(i == 0, 300), false))
	}
	var b []byte
	for p := w.b; len(p) > 0; p = p[packetSize:] {
		b = append(append(b, p[:packetSize]...), random(16)...)
	}
	for _, cut := range []int{1, 100, withParity, 1316, 100000} {
		var got []sent
		d := NewDemuxer(Options{})
		demuxed(d, &got)
		for rest := b; len(rest) > 0; {
			n := min(cut, len(rest))
			d.Write(rest[:n])
			rest = rest[n:]
		}
		d.Flush()
		require.Equal(t, 8, len(got), "in pieces of %d", cut)
		require.Zero(t, d.Stats().Skipped)
	}
}

func TestTheFirstPiecesMayEndAnywhere(t *testing.T) {
	w := newWire().tables(h264Entry)
	w.pes(pidFirst, video(0, picture(true, 300), false)).pes(pidFirst, video(3600, picture(false, 300), false)).pes(pidFirst, video(7200, picture(false, 10), false))
	for first := range 3 * packetSize {
		var got []sent
		d := NewDemuxer(Options{})
		demuxed(d, &got, w.b[:first+1], w.b[first+1:])
		d.Flush()
		require.Len(t, got, 3, "cut after %d bytes", first+1)
		require.Zero(t, d.Stats().Skipped)
	}
}

func TestSeveralFramesOfAACInOnePacket(t *testing.T) {
	one, two, three := random(100), random(300), random(50)
	all := bytes.Join([][]byte{adts(one), adts(two), adts(three)}, nil)
	w := newWire().tables(aacEntry)
	w.pes(pidFirst+1, audio(1000, all[:250])).pes(pidFirst+1, audio(90000, all[250:])) // the second is cut
	got, _ := outOf(w.b)
	require.Equal(t, [][]byte{one, two, three}, payloads(got))
	require.Equal(t, []media.Ticks{1000, 2920, 90000}, times(got))
	require.Equal(t, 48000, got[0].Config.SampleRate)
}

func TestOpusPacketsAreTakenOutOfTheirHeaders(t *testing.T) {
	packet := func(n int) []byte { return append([]byte{0xfc}, random(n)...) } // one frame of 20 ms
	one, two, three := packet(30), packet(300), packet(1)
	b := append(appendOpusHeader(nil, len(one)), one...)
	b = append(b, 0x7f, 0xe0|opusStartTrim|opusEndTrim|opusExtension, 0xff, byte(len(two)-255), 0, 9, 0, 8, 2, 1, 1)
	b = append(b, two...)
	b = append(append(b, appendOpusHeader(nil, len(three))...), three...)
	opusEntry := entry{pes.TypePrivate, pidFirst, []byte{tagRegistration, 4, 'O', 'p', 'u', 's'}}
	w := newWire().tables(opusEntry)
	w.pes(pidFirst, append(pes.AppendHeader(nil, pes.IDPrivate1, len(b), 9000, 9000), b...))
	w.pes(pidFirst, append(pes.AppendHeader(nil, pes.IDPrivate1, 3, 90000, 90000), 1, 2, 3))
	got, d := outOf(w.b)
	require.Equal(t, [][]byte{one, two, three}, payloads(got))
	require.Equal(t, []media.Ticks{9000, 10800, 12600}, times(got))
	require.Equal(t, uint64(1), d.Stats().Damaged)
}

func TestTimesDoNotWrapAndNonsenseIsPassedOver(t *testing.T) {
	const end = 1<<33 - 1
	w := newWire().tables(h264Entry)
	at := func(pts, dts media.Ticks) {
		p := picture(false, 20)
		w.pes(pidFirst, append(pes.AppendHeader(nil, pes.IDVideo, len(p), pts, dts), p...))
	}
	at(end-3599, end-7199)
	at(0, 0)
	at(3600, 90000)    // a DTS behind its PTS
	at(7200, end/2)    // far before it
	at(1000000000, 80) // a jump
	at(1000003600, 1000003600)
	got, _ := outOf(w.b)
	require.Equal(t, []media.Ticks{end - 3599, end + 1, end + 3601, end + 7201, end + 1 + 1000000000, end + 1 + 1000003600}, times(append(got, sent{Frame: media.Frame{PTS: end + 1 + 1000003600}})[:6]))
	require.Equal(t, media.Ticks(end-7199), got[0].DTS)
	for _, f := range got[1:] {
		require.Equal(t, f.PTS, f.DTS)
	}
}

func TestWhatIsTooLargeIsDropped(t *testing.T) {
	var got []sent
	d := NewDemuxer(Options{MaxUnit: 10000})
	w := newWire().tables(h264Entry)
	w.pes(pidFirst, video(0, picture(true, 20000), true)).pes(pidFirst, video(3600, picture(false, 100), true)).pes(pidFirst, video(7200, picture(false, 100), true))
	demuxed(d, &got, w.b)
	require.Equal(t, [][]byte{picture(false, 100)}, payloads(got))
	require.Equal(t, uint64(1), d.Stats().Oversize)
	require.Less(t, cap(d.order[0].buf), 20000)
}

func TestLargeBuffersAreGivenBack(t *testing.T) {
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) {}})
	w := newWire().tables(h264Entry)
	w.pes(pidFirst, video(0, picture(true, 1<<20), true))
	for i := range 3 * 128 {
		w.pes(pidFirst, video(media.Ticks(i+1)*3600, picture(false, 1000), true))
	}
	d.Write(w.b)
	require.LessOrEqual(t, cap(d.order[0].buf), 64<<10)
}

func TestThePESLengthMayBeWrong(t *testing.T) {
	w := newWire().tables(h264Entry)
	long := video(0, picture(true, 500), false)
	long[5] += 100
	w.pes(pidFirst, long).pes(pidFirst, video(3600, picture(false, 500), false))
	short := video(7200, picture(false, 500), false)
	short = append(short, bytes.Repeat([]byte{0xff}, 100)...) // what is behind the packet is no part of it
	w.pes(pidFirst, short).pes(pidFirst, video(10800, picture(false, 10), false))
	got, d := outOf(w.b)
	require.Equal(t, [][]byte{picture(true, 500), picture(false, 500), picture(false, 500)}, payloads(got)[:3])
	require.Equal(t, uint64(1), d.Stats().Lengths)
}

func FuzzDemuxer(f *testing.F) {
	w := newWire().tables(h264Entry, aacEntry, entry{pes.TypePrivate, pidFirst + 2, []byte{tagRegistration, 4, 'O', 'p', 'u', 's'}}, entry{pes.TypeLATM, pidFirst + 3, nil})
	w.pes(pidFirst, video(0, picture(true, 300), true)).pes(pidFirst+1, audio(0, adts(random(30)))).pes(pidFirst+2, audio(0, append(appendOpusHeader(nil, 5), 0xfc, 1, 2, 3, 4)))
	w.pes(pidFirst, video(3600, picture(false, 300), false)).pes(pidFirst, video(3600, picture(false, 20), false))
	f.Add(w.b, uint16(1315), false)
	f.Add(w.b[100:], uint16(50), true)
	f.Add(bytes.Repeat([]byte{syncByte}, 2000), uint16(187), true)
	f.Add(append(bytes.Clone(w.b[:700]), w.b[900:]...), uint16(999), false)
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, mark bool) {
		const most = 4096
		size := len(b)
		frames := uint64(0)
		d := NewDemuxer(Options{MaxUnit: most, MaxStreams: 4, Emit: func(stream int, f *media.Frame) {
			frames++
			if len(f.Payload) == 0 || len(f.Payload) > maxAudio || f.DTS > f.PTS || stream <= 0 || stream >= pidNull {
				t.Fatalf("stream %d: %+v", stream, f)
			}
		}})
		for len(b) > 0 {
			n := min(len(b), int(cut)+1)
			d.Write(b[:n])
			b = b[n:]
			if mark {
				d.Mark()
			}
			if n%5 == 4 {
				d.Gap()
			}
			if len(d.held) > 3*withParity || len(d.Streams()) > 4 {
				t.Fatalf("%d bytes held, %d streams", len(d.held), len(d.Streams()))
			}
		}
		d.Flush()
		if s := d.Stats(); s.Frames != frames || s.Bytes != uint64(size) || s.Skipped > s.Bytes {
			t.Fatalf("%+v", s)
		}
	})
}
