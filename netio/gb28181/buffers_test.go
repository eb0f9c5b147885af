package gb28181

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/mpegts"
	"berth/media/remux"
)

// transport makes the packets of n pictures in a transport stream, as run does in a program stream.
func (c *camera) transport(t testing.TB, n int) (packets [][]byte) {
	mux, err := mpegts.NewMuxer(mpegts.MuxerOptions{Tracks: c.tracks})
	require.NoError(t, err)
	c.payloadType = 33
	for i := range n {
		size := 3000
		if i%10 == 0 {
			size = 70000
		}
		unit := c.unit(i%10 == 0, size)
		c.frames[0] = append(c.frames[0], unit)
		b := mux.Append(nil, 0, &media.Frame{Codec: media.CodecH264, PTS: c.pts, DTS: c.pts, Key: i%10 == 0, Payload: unit})
		for len(b) > 0 {
			n := min(len(b), 7*188)
			packets = append(packets, c.packet(b[:n], n == len(b)))
			b = b[n:]
		}
		c.pts += 3600
	}
	return packets
}

// TestSourcesThatShareBuffersMakeTheSame runs sources in goroutines of their own. What comes back to the buffers is spoiled, so that a frame which is used for longer than it is valid would be seen.
func TestSourcesThatShareBuffersMakeTheSame(t *testing.T) {
	spoil := bytes.Repeat([]byte{0xaa}, 4096)
	for _, own := range []int{64, 0} {
		shared := &Buffers{}
		shared.units.Own = own
		shared.units.Returned = func(b []byte) {
			for len(b) > 0 {
				b = b[copy(b, spoil):]
			}
		}
		for device := range uint32(6) {
			t.Run(fmt.Sprintf("device %d of those that keep %d bytes", device, own), func(t *testing.T) {
				t.Parallel()
				c := newCamera(7+device, false)
				packets := c.run(60)
				if device%2 == 1 {
					c = newCamera(7+device, false)
					packets = c.transport(t, 60)
				}
				lossy := device >= 4
				see := func(b *Buffers) *viewer {
					v := watch(t, SourceOptions{Buffers: b, Tracks: remux.AssemblerOptions{WaitAddTrack: -1}})
					for i, p := range packets {
						if !lossy || i%97 != 50 {
							v.see(hostAt(1), p)
						}
					}
					v.wait(v.source.opts.ReorderWait)
					return v
				}
				alone, among := see(nil), see(shared)
				sameUnits(t, alone.frames[0], among.frames[0])
				require.Equal(t, alone.times, among.times)
				require.NotEmpty(t, among.frames[0])
				if !lossy {
					sameUnits(t, c.frames[0][:59], among.frames[0][:59])
				}
			})
		}
	}
}
