package gb28181

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media"
)

func TestProgramStreamsComeOutAsTheyWentIn(t *testing.T) {
	for name, set := range map[string]func(*camera){
		"as GB/T 28181 says":     func(*camera) {},
		"without marker bits":    func(c *camera) { c.noMarker = true },
		"picture alone":          func(c *camera) { *c = *newCamera(c.ssrc, false) },
		"unknown payload type":   func(c *camera) { c.payloadType = 105 },
		"another's payload type": func(c *camera) { c.payloadType = 98 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCamera(7, true)
			set(c)
			v := watch(t, SourceOptions{})
			for range 4 {
				v.see(hostAt(1), c.run(10)...)
				v.wait(400 * time.Millisecond)
			}
			v.see(hostAt(1), c.picture(true, 100)...) // ends what has no marker
			require.Equal(t, 1, v.ready)
			sameUnits(t, c.frames[0][:40], v.frames[0][:40])
			if c.sound {
				sameUnits(t, c.frames[1][:40], v.frames[1][:40])
				for i := 1; i < 40; i++ {
					require.Equal(t, media.Ticks(3600), v.times[1][i]-v.times[1][i-1])
				}
			}
			for i := 1; i < 40; i++ {
				require.Equal(t, media.Ticks(3600), v.times[0][i]-v.times[0][i-1])
			}
			s := v.source.Stats()
			require.Equal(t, "ps", s.Payload)
			require.Zero(t, s.Lost+s.Damaged+s.Invalid+s.Restarts+s.Skipped)
			require.Equal(t, v.now, s.LastFrame)
			require.NotZero(t, v.reports)
		})
	}
}

// elementaryPackets makes packets of H.264 itself (RFC 6184): the units of each picture in packets of their own.
func (c *camera) elementaryPicture(key bool) (packets [][]byte) {
	units := [][]byte{append([]byte{0x41, 0x9a}, c.noise(900)...)}
	if key {
		units = [][]byte{testSPS, testPPS, append([]byte{0x65, 0x88}, c.noise(1200)...)}
	}
	var frame []byte
	for i, u := range units {
		frame = append(append(frame, 0, 0, 0, 1), u...)
		packets = append(packets, c.packet(u, i == len(units)-1))
	}
	c.frames[0] = append(c.frames[0], frame)
	c.pts += 3600
	return packets
}

func TestElementaryStreamsComeOutAsTheyWentIn(t *testing.T) {
	c := newCamera(7, false)
	c.payloadType = 98
	v := watch(t, SourceOptions{})
	for i := range 30 {
		v.see(hostAt(1), c.elementaryPicture(i%10 == 0)...)
		v.wait(50 * time.Millisecond)
	}
	v.wait(5 * time.Second)
	require.Equal(t, 1, v.ready)
	for i := range 30 {
		v.see(hostAt(1), c.elementaryPicture(i%10 == 0)...)
	}
	sameUnits(t, c.frames[0], v.frames[0])
	require.Equal(t, "h264", v.source.Stats().Payload)
}

func TestPictureAndSoundMayComeAsTwoPayloadTypes(t *testing.T) {
	c := newCamera(7, false)
	v := watch(t, SourceOptions{})
	var sound [][]byte
	for i := range 60 {
		c.payloadType = 98
		v.see(hostAt(1), c.elementaryPicture(i%10 == 0)...)
		c.payloadType = 8
		s := c.noise(320)
		sound = append(sound, s)
		v.see(hostAt(1), c.packet(s, true))
		v.wait(50 * time.Millisecond)
	}
	require.Equal(t, 1, v.ready)
	sameUnits(t, c.frames[0], v.frames[0])
	require.NotEmpty(t, v.frames[1])
	sameUnits(t, sound[len(sound)-len(v.frames[1]):], v.frames[1])
	s := v.source.Stats()
	require.Zero(t, s.Lost+s.Damaged+s.Invalid)
}

func TestPacketsReorderedBy30(t *testing.T) {
	c := newCamera(7, true)
	v := watch(t, SourceOptions{})
	packets := c.run(60)
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // not a secret
	type placed struct {
		at  int
		pkt []byte
	}
	var order []placed
	for i, p := range packets[1:] { // what comes before the first is nobody's
		order = append(order, placed{i + r.IntN(31), p})
	}
	slices.SortStableFunc(order, func(a, b placed) int { return a.at - b.at })
	v.see(hostAt(1), packets[0])
	for _, p := range order {
		v.see(hostAt(1), p.pkt)
	}
	sameUnits(t, c.frames[0], v.frames[0])
	sameUnits(t, c.frames[1], v.frames[1])
	s := v.source.Stats()
	require.Zero(t, s.Lost+s.Late+s.Damaged)
	require.Greater(t, s.Reordered, uint64(100))
}

func TestFivePercentLossShowsNoBrokenPicture(t *testing.T) {
	c := newCamera(7, true)
	v := watch(t, SourceOptions{})
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // not a secret
	dropped := 0
	v.see(hostAt(1), c.run(3)...)
	for i := range 2000 { // small key pictures, so that some come through
		for _, p := range c.picture(i%10 == 0, 2000) {
			if r.IntN(20) == 0 {
				dropped++
				continue
			}
			v.see(hostAt(1), p)
		}
	}
	v.wait(time.Second)
	sent := map[string]int{}
	for i, f := range c.frames[0] {
		sent[string(f)] = i
	}
	last, since := -1, 0
	for _, f := range v.frames[0] {
		i, ok := sent[string(f)]
		require.True(t, ok, "a picture that was never sent")
		require.Greater(t, i, last)
		if i != last+1 && last >= 0 {
			require.Equal(t, byte(0x67), f[4], "after a hole comes a key picture")
			since++
		}
		last = i
	}
	require.Greater(t, len(v.frames[0]), 500)
	require.Positive(t, since)
	s := v.source.Stats()
	require.InDelta(t, dropped, s.Lost, 5, "but for those at the end")
	require.Equal(t, 1, v.ready)
}

func TestADeviceThatBeginsAnewGoesOnInItsStream(t *testing.T) {
	for name, change := range map[string]func(v *viewer, c *camera){
		"another SSRC":           func(_ *viewer, c *camera) { c.ssrc = 8 },
		"a jump in sequence":     func(_ *viewer, c *camera) { c.seq += 20000 },
		"a jump in time":         func(_ *viewer, c *camera) { c.pts += 1000 * 90000 },
		"a jump back in time":    func(_ *viewer, c *camera) { c.pts = 0 },
		"time that wraps":        func(_ *viewer, c *camera) { c.pts = 1<<33 - 5*3600 },
		"a clock that restarted": func(_ *viewer, c *camera) { c.ssrc, c.seq, c.pts = 9, 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCamera(7, true)
			v := watch(t, SourceOptions{})
			v.see(hostAt(1), c.run(30)...)
			v.wait(300 * time.Millisecond)
			change(v, c)
			v.see(hostAt(1), c.run(30)...)
			require.Equal(t, 1, v.ready, "the tracks are the same")
			sameUnits(t, c.frames[0], v.frames[0])
			for i := 1; i < len(v.times[0]); i++ {
				step := v.times[0][i] - v.times[0][i-1]
				require.Positive(t, step, "picture %d", i)
				require.Less(t, step, media.Ticks(90000), "picture %d", i)
			}
			require.Zero(t, v.source.Stats().Lost)
		})
	}
}

func TestSoundMayComeBeforeThePictureWhenADeviceBeginsAnew(t *testing.T) {
	c := newCamera(7, false)
	v := watch(t, SourceOptions{})
	picture := func(i int) {
		c.payloadType = 98
		v.see(hostAt(1), c.elementaryPicture(i%10 == 0)...)
	}
	sound := func() {
		c.payloadType = 8
		v.see(hostAt(1), c.packet(c.noise(320), true))
	}
	for i := range 100 {
		picture(i)
		sound()
		v.wait(50 * time.Millisecond)
	}
	require.Equal(t, 1, v.ready)
	v.wait(300 * time.Millisecond)
	c.ssrc, c.seq = 8, 100
	for i := range 50 {
		sound()
		sound()
		picture(i)
		v.wait(50 * time.Millisecond)
	}
	require.Equal(t, 1, v.ready, "the tracks are the same")
	sameUnits(t, c.frames[0], v.frames[0])
	require.Greater(t, len(v.frames[1]), 190)
}

func TestADeviceMayChangeWhatItSends(t *testing.T) {
	c := newCamera(7, true)
	v := watch(t, SourceOptions{})
	v.see(hostAt(1), c.run(30)...)
	require.Equal(t, "ps", v.source.Stats().Payload)
	sent := len(c.frames[0])
	for i := range 600 { // the same payload type, without a container
		v.see(hostAt(1), c.elementaryPicture(i%10 == 0)...)
		v.wait(50 * time.Millisecond)
	}
	require.Equal(t, "h264", v.source.Stats().Payload)
	require.Equal(t, 2, v.ready)
	got := v.frames[0]
	sameUnits(t, c.frames[0][:sent], got[:sent])
	require.Greater(t, len(got), sent+50)
	sameUnits(t, c.frames[0][len(c.frames[0])-50:], got[len(got)-50:])
}

func TestFramesAreKeptUntilTheStreamIsAttached(t *testing.T) {
	c := newCamera(7, true)
	v := watch(t, SourceOptions{})
	v.deaf = true
	v.see(hostAt(1), c.run(30)...)
	require.Empty(t, v.frames[0])
	v.deaf = false
	v.see(hostAt(1), c.run(10)...)
	require.GreaterOrEqual(t, len(v.frames[0]), 20)
	sameUnits(t, c.frames[0][len(c.frames[0])-len(v.frames[0]):], v.frames[0])
}

func TestAnAnswerThatComesTooLateIsNotTaken(t *testing.T) {
	c := newCamera(7, false)
	v := watch(t, SourceOptions{})
	v.deaf = true
	v.see(hostAt(1), c.run(10)...)
	v.wait(4 * time.Second)
	require.Len(t, v.offered, 1)
	for i := range 600 { // the same payload type, without a container
		v.see(hostAt(1), c.elementaryPicture(i%10 == 0)...)
		v.wait(50 * time.Millisecond)
	}
	require.Len(t, v.offered, 2)
	v.source.Answer(v.offered[0], v, []int{0})
	v.see(hostAt(1), c.elementaryPicture(true)...) // the viewer has no tracks yet
	require.Empty(t, v.frames[0])
	v.deaf = false
	offer := v.offered[1]
	v.attach()
	v.source.Answer(offer, v, []int{0})
	v.see(hostAt(1), c.elementaryPicture(true)...)
	require.NotEmpty(t, v.frames[0])
}

func TestAWriterCanBeReplaced(t *testing.T) {
	c := newCamera(7, true)
	v := watch(t, SourceOptions{})
	v.see(hostAt(1), c.run(15)...)
	require.Len(t, v.frames[0], 15)
	v.source.Detach()
	v.see(hostAt(1), c.run(5)...)
	require.Len(t, v.frames[0], 15)
	v.source.Attach(v, []int{0, 1})
	for range 3 {
		v.see(hostAt(1), c.picture(false, 500)...)
	}
	require.Len(t, v.frames[0], 15, "a key picture comes first")
	v.see(hostAt(1), c.run(5)...)
	require.Len(t, v.frames[0], 20)
	v.broken = true
	v.see(hostAt(1), c.run(1)...)
	require.Positive(t, v.source.Stats().Refused)
}

func TestNobodyWatchesNobodyLooks(t *testing.T) {
	needed := true
	c := newCamera(7, true)
	v := watch(t, SourceOptions{OnDemand: func() bool { return needed }})
	needed = false
	v.see(hostAt(1), c.run(20)...)
	require.Equal(t, 1, v.ready, "the tracks must be known before anybody can want them")
	seen := len(v.frames[0])
	require.Positive(t, seen)
	require.Less(t, seen, 20)
	s := v.source.Stats()
	require.Positive(t, s.Unwatched)
	v.see(hostAt(1), c.run(20)...)
	asleep := v.source.Stats()
	require.Greater(t, asleep.Unwatched, s.Unwatched)
	require.Equal(t, s.Frames, asleep.Frames)
	require.Equal(t, v.now, asleep.LastFrame, "the device lives")
	require.Len(t, v.frames[0], seen)
	needed = true
	for range 3 {
		v.see(hostAt(1), c.picture(false, 500)...)
	}
	require.Len(t, v.frames[0], seen, "a key picture comes first")
	v.see(hostAt(1), c.run(20)...)
	sameUnits(t, c.frames[0][len(c.frames[0])-20:], v.frames[0][seen:])
	s = v.source.Stats()
	require.Zero(t, s.Lost+s.Damaged+s.Late)
}

func TestMemoryIsBoundedWhateverComes(t *testing.T) {
	v := watch(t, SourceOptions{})
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // not a secret
	c := newCamera(7, false)
	for range 3000 {
		c.payloadType = uint8(r.IntN(8)) + 100
		c.seq += uint16(r.IntN(3))
		v.see(hostAt(1), c.packet(c.noise(1+r.IntN(1400)), r.IntN(3) == 0))
	}
	held := 0
	for _, l := range v.source.lanes {
		if l != nil {
			held += cap(l.held.data)
		}
	}
	require.LessOrEqual(t, held, 2*maxLanes*heldBytes)
	require.Positive(t, v.source.Stats().Invalid)
}

func TestAClosedSourceIgnoresEverything(t *testing.T) {
	c := newCamera(7, true)
	v := watch(t, SourceOptions{})
	v.see(hostAt(1), c.run(5)...)
	v.source.Close()
	before := v.source.Stats()
	v.see(hostAt(1), c.run(5)...)
	v.wait(time.Second)
	v.source.Attach(v, []int{0})
	v.source.Close()
	require.Equal(t, before.Packets, v.source.Stats().Packets)
}

// nowhere takes packets and forgets them.
type nowhere struct{}

func (nowhere) WriteRTP(int, time.Time, []byte) error { return nil }

func (nowhere) WriteRTCP(int, time.Time, []byte) {}

func TestTakingPacketsAllocatesNothing(t *testing.T) {
	for _, needed := range []bool{true, false} {
		c := newCamera(7, true)
		v := watch(t, SourceOptions{OnDemand: func() bool { return needed }, ReportInterval: -1})
		v.see(hostAt(1), c.run(40)...)
		v.source.Attach(nowhere{}, []int{0, 1})
		var pictures [][][]byte
		for i := range 102 {
			pictures = append(pictures, c.picture(i%10 == 0, 3000))
		}
		at := 0
		require.Zero(t, testing.AllocsPerRun(100, func() {
			for _, p := range pictures[at] {
				v.now = v.now.Add(time.Millisecond)
				v.source.PushUDP(v.now, hostAt(1), p)
			}
			at++
		}), "needed: %v", needed)
		s := v.source.Stats()
		require.Equal(t, needed, s.Unwatched == 0)
		require.Zero(t, s.Lost)
	}
}

func FuzzSource(f *testing.F) {
	c := newCamera(7, true)
	var whole []byte
	for _, p := range slices.Concat(c.picture(true, 60), c.picture(false, 30), c.picture(false, 30)) { // short: what is long is minimised for ever
		whole = binary.BigEndian.AppendUint16(whole, uint16(len(p)))
		whole = append(whole, p...)
	}
	f.Add(whole, uint8(0))
	f.Add(whole[:len(whole)/2], uint8(3))
	f.Add([]byte{0, 12, 0x80, 98, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0x80, 200, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, mode uint8) {
		v := watch(t, SourceOptions{OnDemand: func() bool { return mode&1 == 0 }, SSRC: uint32(mode >> 4)})
		for n := 0; len(b) >= 2; n++ {
			size := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			p := b[2 : 2+size]
			b = b[2+size:]
			v.now = v.now.Add(time.Duration(mode) * time.Millisecond)
			from := hostAt(1 + n%3*int(mode&2)/2)
			if mode&4 != 0 {
				v.source.PushTCP(v.now, from, slices.Clone(p))
			} else {
				v.source.PushUDP(v.now, from, slices.Clone(p))
			}
			v.attach()
			v.source.Tick(v.now)
		}
		v.source.Stats()
	})
}
