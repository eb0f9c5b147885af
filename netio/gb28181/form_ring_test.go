package gb28181

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/hub"
)

// ringUnit is a unit of one packet.
func ringUnit(at time.Time, key bool, size int) unit {
	return unit{packets: []packet{{payload: make([]byte, size)}}, bytes: size, key: key, arrived: at}
}

// takeAll returns the sizes of the units that a cursor gets.
func takeAll(r *formRing, c *cursor) (sizes []int, done bool) {
	for {
		units, over := r.take(c, nil, 3, 100)
		if len(units) == 0 {
			return sizes, over
		}
		for _, u := range units {
			sizes = append(sizes, u.bytes)
		}
	}
}

func TestTheRingKeepsWhatNewSendersNeed(t *testing.T) {
	now := time.Now()
	r := &formRing{gopBytes: 1000, keep: time.Second}
	c := r.begin()
	sizes, done := takeAll(r, &c)
	require.Empty(t, sizes)
	require.False(t, done)
	for i := range 3 {
		r.push(ringUnit(now, false, i+1)) // before the first key frame
	}
	require.Empty(t, func() []int { s, _ := takeAll(r, &c); return s }())
	r.push(ringUnit(now, true, 100))
	r.push(ringUnit(now, false, 101))
	sizes, _ = takeAll(r, &c)
	require.Equal(t, []int{100, 101}, sizes)
	require.Zero(t, c.jumps)
	require.Zero(t, r.lag(c.next))

	// A minute later the group of pictures is still there, and nothing before it.
	r.push(ringUnit(now.Add(time.Minute), false, 102))
	require.Len(t, r.units, 3)
	late := r.begin()
	sizes, _ = takeAll(r, &late)
	require.Equal(t, []int{100, 101, 102}, sizes)

	// A group that is too large is let go: who comes begins at the next key frame.
	r.push(ringUnit(now.Add(2*time.Minute), false, 900))
	require.Len(t, r.units, 1)
	later := r.begin()
	sizes, _ = takeAll(r, &later)
	require.Empty(t, sizes)
	sizes, _ = takeAll(r, &late)
	require.Equal(t, []int{900}, sizes, "who was there goes on")
	// One that has fallen behind jumps, and counts what it passes over.
	r.push(ringUnit(now.Add(4*time.Minute), true, 50))
	require.EqualValues(t, 3, r.lag(c.next))
	sizes, _ = takeAll(r, &c)
	require.Equal(t, []int{50}, sizes)
	require.EqualValues(t, 1, c.jumps)
	require.EqualValues(t, 2, c.dropped)
	sizes, _ = takeAll(r, &later)
	require.Equal(t, []int{50}, sizes)
	require.Zero(t, later.dropped, "what came before it began was never its")

	r.push(ringUnit(now.Add(4*time.Minute), false, 51))
	r.end()
	sizes, done = takeAll(r, &c)
	require.Equal(t, []int{51}, sizes)
	require.True(t, done)
}

func TestTheRingIsBoundedWhateverComes(t *testing.T) {
	r := &formRing{gopBytes: 1 << 20, keep: time.Hour}
	now := time.Now()
	for i := range 100 {
		r.push(ringUnit(now, i == 0, 1<<20))
		require.LessOrEqual(t, r.bytes, int64(1<<20+ringBytesSpare+1<<20))
	}
}

// frames catches what goes into a container.
type frames struct{ got []media.Frame }

func (f *frames) Append(dst []byte, _ int, frame *media.Frame) []byte {
	f.got = append(f.got, *frame)
	return append(dst, 1)
}

// A source's clocks are known better once it has reported itself. Time in the container follows, and does not go back.
func TestAContainerFollowsTheReportsOfItsStream(t *testing.T) {
	for name, off := range map[string]time.Duration{"sound is early": 300 * time.Millisecond, "sound is late": -300 * time.Millisecond, "a trifle": 5 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			s := newTestStream(t, true, g711(), hub.Options{})
			f := &Form{hub: s.hub, opts: FormOptions{Kind: FormPS}}
			f.opts.setDefaults()
			require.NoError(t, f.chooseContainer())
			c, out := f.make.(*container), &frames{}
			c.mux = out
			c.begin(nil)
			now := time.Now()
			picture := func(i int) {
				pkts, err := s.video.Encode([][]byte{testSPS, testPPS, s.unit(0x65, 50)})
				require.NoError(t, err)
				for _, p := range pkts {
					p.Timestamp = 1000 + 3600*uint32(i) //nolint:gosec // small
					b, err := p.Marshal()
					require.NoError(t, err)
					c.rtp(now, 0, b)
				}
			}
			sound := func(i int) {
				b := rtpPacket(7, uint16(i), make([]byte, 320)) //nolint:gosec // small
				b[4], b[5], b[6], b[7] = 0, 0, byte((320*i)>>8), byte(320*i)
				c.rtp(now, 1, b)
			}
			at := time.Unix(1_700_000_000, 0)
			for i := range 20 {
				if i == 10 {
					c.report(0, at, 1000+36000)
					c.report(1, at.Add(off), 3200) // what was said at the same instant is off by so much
				}
				picture(i)
				sound(i)
			}
			last := map[media.Kind]media.Ticks{}
			for _, g := range out.got {
				k := g.Codec.Kind()
				require.Greater(t, g.PTS, last[k])
				last[k] = g.PTS
			}
			want := media.FrameClock.Ticks(off)
			if off < alignSlack && off > -alignSlack {
				// At the first report everything is lined up, afterwards trifles are left alone.
				c.report(1, at.Add(off+3*time.Millisecond), 3200)
			}
			require.Equal(t, want, last[media.KindAudio]-last[media.KindVideo])
		})
	}
}

func FuzzReceiverReport(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendSenderReport(nil, 1, 2, time.Unix(3, 4), 5, 6, "x"))
	f.Add(reportOf(5))
	f.Add([]byte{0x80, 201, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		walkRTCP(b, func(_ uint8, pkt []byte) {
			require.GreaterOrEqual(t, len(pkt), 8)
			total += len(pkt)
		})
		require.LessOrEqual(t, total, len(b))
		isReceiverReport(b)
	})
}
