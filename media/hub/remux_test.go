package hub

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/annexb"
	"berth/media/remux"
)

// TestFramesOfContainersPassThroughAHub takes frames the whole way, as a cascade does: put together for a hub, read out of it, taken apart again. They come out unchanged, and sound and picture
// stay lined up.
func TestFramesOfContainersPassThroughAHub(t *testing.T) {
	sps := []byte{0x67, 0x64, 0x00, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3d, 0x08}
	var (
		h  *Hub
		w  *Writer
		a  *remux.Assembler
		r  *Reader
		ds []*remux.Depacketizer
	)
	got := make([][]media.Frame, 2)
	a = remux.NewAssembler(remux.AssemblerOptions{
		Ready: func(list []*media.Track) {
			h = New(list, Options{})
			var numbers []int
			var err error
			w, numbers, err = h.Attach(list)
			require.NoError(t, err)
			r = h.NewReader(ReaderOptions{})
			for i, track := range list {
				d, err := remux.NewDepacketizer(remux.DepacketizerOptions{Track: track, Emit: func(f *media.Frame) {
					c := *f
					c.Payload = bytes.Clone(f.Payload)
					got[i] = append(got[i], c)
				}})
				require.NoError(t, err)
				ds = append(ds, d)
			}
			a.Attached(numbers)
		},
		Write:     func(track int, now time.Time, pkt []byte) { require.NoError(t, w.WriteRTP(track, now, pkt)) },
		WriteRTCP: func(track int, now time.Time, pkt []byte) { w.WriteRTCP(track, now, pkt) },
	})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	epoch := now
	aligned := make([]bool, 2)
	read := func() {
		for h != nil {
			c, state := r.Next()
			if state != StateReady {
				return
			}
			for _, p := range c.Packets {
				if !p.RTCP() {
					ds[p.Track()].Write(c.Bytes(p))
				} else if at, rtp, ok := remux.ParseReport(c.Bytes(p)); ok {
					aligned[p.Track()] = true
					ds[p.Track()].Align(rtp, media.FrameClock.Ticks(at.Sub(epoch)))
				}
			}
		}
	}
	var sent [2][]media.Frame
	for i := range 500 {
		pts := media.Ticks(7_000_000 + 3600*i)
		var units []byte
		units = annexb.Append(units, []byte{9, 0x10})
		head := []byte{0x41, 0x9a}
		if i%50 == 0 {
			units = annexb.Append(annexb.Append(units, sps), []byte{0x68, 0xee, 0x3c, 0x80})
			units = annexb.Append(units, []byte{6, 5, 3, 1, 2, 3, 0x80})
			head = []byte{0x65, 0x88}
		}
		units = annexb.Append(units, append(head, bytes.Repeat([]byte{byte(i) | 1, 7}, 50*(i%90)+1)...))
		picture := media.Frame{Codec: media.CodecH264, PTS: pts, DTS: pts, Key: i%50 == 0, Payload: units}
		a.Frame(now, 0xe0, &picture)
		sent[0] = append(sent[0], picture)
		for k := range 2 {
			sound := media.Frame{Codec: media.CodecPCMA, PTS: pts + media.Ticks(1800*k), Key: true, Payload: bytes.Repeat([]byte{byte(i)}, 160)}
			sound.DTS = sound.PTS
			a.Frame(now, 0xc0, &sound)
			sent[1] = append(sent[1], sound)
			read()
			now = now.Add(20 * time.Millisecond)
		}
	}
	w.Close()

	read()
	require.Equal(t, []bool{true, true}, aligned)
	for i := range got {
		require.NotEmpty(t, got[i])
		skip := len(sent[i]) - len(got[i]) // sound before the first picture
		require.LessOrEqual(t, skip, 1)
		for k, f := range got[i] {
			require.Equal(t, sent[i][skip+k].Payload, f.Payload)
			if f.PTS > 90000 { // after the first reports
				require.InDelta(t, float64(sent[i][skip+k].PTS-7_000_000), float64(f.PTS), 90, "track %d frame %d", i, k)
			}
		}
	}
}
