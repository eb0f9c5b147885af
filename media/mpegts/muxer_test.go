package mpegts

import (
	"encoding/binary"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

// tsPacket is one packet of a stream, as far as these tests look.
type tsPacket struct {
	header
	pcr media.Ticks // -1 without
}

func packetsOf(t *testing.T, b []byte) (out []tsPacket) {
	t.Helper()
	require.Zero(t, len(b)%packetSize)
	for ; len(b) > 0; b = b[packetSize:] {
		require.EqualValues(t, syncByte, b[0])
		h, ok := parseHeader(b[:packetSize])
		require.True(t, ok)
		p := tsPacket{h, -1}
		if b[3]&0x20 != 0 && b[4] > 0 && b[5]&0x10 != 0 {
			p.pcr = media.Ticks(binary.BigEndian.Uint32(b[6:]))<<1 | media.Ticks(b[10]>>7)
		}
		out = append(out, p)
	}
	return out
}

func newMuxer(t *testing.T, codecs ...media.Codec) *Muxer {
	t.Helper()
	var tracks []*media.Track
	for _, c := range codecs {
		tracks = append(tracks, track(c))
	}
	m, err := NewMuxer(MuxerOptions{Tracks: tracks})
	require.NoError(t, err)
	return m
}

func TestTablesComeBeforeKeyFramesAndEachHalfSecond(t *testing.T) {
	m := newMuxer(t, media.CodecH264, media.CodecAAC)
	for _, c := range []struct {
		name   string
		track  int
		dts    media.Ticks
		key    bool
		tables bool
	}{
		{"the first frame", 1, 90000, true, true},
		{"sound", 1, 92000, true, false},
		{"a key frame", 0, 93600, true, true},
		{"a picture", 0, 97200, false, false},
		{"half a second later", 0, 93600 + 45000, false, true},
		{"sound after half a second more", 1, 93600 + 2*45000, true, true},
		{"time goes back", 0, 5000, false, true},
		{"and on", 0, 8600, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := frameOf(m.tracks[c.track].codec, c.key, 500)
			f.PTS, f.DTS = c.dts, c.dts
			pkts := packetsOf(t, m.Append(nil, c.track, &f))
			if c.tables {
				require.Equal(t, pidPAT, pkts[0].pid)
				require.Equal(t, pidPMT, pkts[1].pid)
				pkts = pkts[2:]
			}
			for i, p := range pkts {
				require.Equal(t, pidFirst+c.track, p.pid)
				require.Equal(t, i == 0, p.start)
				require.Equal(t, i == 0 && c.track == 0 && c.key, p.random)
				if i == 0 && c.track == 0 {
					require.Equal(t, uint64(c.dts-pcrLead)%(1<<33), uint64(p.pcr), "the clock")
				} else {
					require.Equal(t, media.Ticks(-1), p.pcr)
				}
			}
		})
	}
}

func TestSoundAloneCarriesTheClock(t *testing.T) {
	m := newMuxer(t, media.CodecPCMA, media.CodecAAC)
	f := frameOf(media.CodecPCMA, true, 160)
	f.PTS, f.DTS = 90000, 90000
	pkts := packetsOf(t, m.Append(nil, 0, &f))
	require.Equal(t, media.Ticks(90000)-pcrLead, pkts[2].pcr)
	require.Len(t, packetsOf(t, m.Append(nil, 0, &f)), 1)
}

func TestCountersFollow(t *testing.T) {
	m := newMuxer(t, media.CodecH264, media.CodecPCMA)
	fresh := func() *counters { return &counters{} }
	counters := map[int]*counters{}
	for i := range 100 {
		k := i % 2
		f := frameOf(m.tracks[k].codec, i%10 == 0, 100+i*37)
		f.DTS = media.Ticks(i) * 3600
		f.PTS = f.DTS
		for _, p := range packetsOf(t, m.Append(nil, k, &f)) {
			if counters[p.pid] == nil {
				counters[p.pid] = fresh()
			}
			require.Equal(t, follows, counters[p.pid].next(p.header))
		}
	}
	require.Len(t, counters, 4)
}

func TestOnlyVideoMayLeaveOutItsLength(t *testing.T) {
	m := newMuxer(t, media.CodecH264)
	for _, c := range []struct {
		size int
		says bool
	}{{100, true}, {65000, true}, {66000, false}} {
		f := frameOf(media.CodecH264, false, c.size)
		pkts := packetsOf(t, m.Append(nil, 0, &f))
		for pkts[0].pid != pidFirst {
			pkts = pkts[1:]
		}
		require.Equal(t, c.says, pes.Length(pkts[0].payload) > 0, "%d bytes", c.size)
	}
}

func TestWhatCannotBeCarriedIsRefused(t *testing.T) {
	_, err := NewMuxer(MuxerOptions{})
	require.ErrorIs(t, err, ErrNoTracks)
	_, err = NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264), track(media.CodecVP8)}})
	var refused *CodecError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, media.CodecVP8, refused.Codec)
	require.ErrorContains(t, err, "VP8")
	_, err = NewMuxer(MuxerOptions{Tracks: make([]*media.Track, maxTracks+1)})
	require.Error(t, err)
	for _, c := range codecs {
		require.True(t, Carries(c), c.String())
	}
	for _, c := range []media.Codec{media.CodecUnknown, media.CodecL16, media.CodecAV1, media.CodecSVACV} {
		require.False(t, Carries(c), c.String())
	}
}

func TestFramesThatCannotBeCarriedAreLeftOut(t *testing.T) {
	m := newMuxer(t, media.CodecAAC, media.CodecPCMA, media.CodecOpus)
	for i, f := range []struct {
		track int
		media.Frame
	}{
		{0, media.Frame{Payload: random(10)}},
		{0, media.Frame{Payload: random(9000), Config: stereo}},
		{0, media.Frame{Payload: random(10), Config: &mpeg4audio.AudioSpecificConfig{Type: 42, SampleRate: 48000}}},
		{1, media.Frame{Payload: random(70000)}},
		{1, media.Frame{}},
		{2, media.Frame{Payload: random(9000)}},
	} {
		require.Empty(t, m.Append(nil, f.track, &f.Frame))
		require.Equal(t, uint64(i+1), m.Dropped())
	}
}

func TestTheMapOfAsManyTracksAsThereCanBeFits(t *testing.T) {
	var codecs []media.Codec
	for range maxTracks {
		codecs = append(codecs, media.CodecOpus)
	}
	m := newMuxer(t, codecs...)
	f := frameOf(media.CodecOpus, true, 10)
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) {}, MaxStreams: maxTracks})
	d.Write(m.Append(nil, 0, &f))
	require.Len(t, d.Streams(), maxTracks)
	require.Zero(t, d.Stats().BadTables)
}
