package supervisor

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/portpool"
)

// A day in a bad site: devices that are invited again and again on the port they have, that go on sending after the end, that send to another's port, that share an SSRC, that lose one packet
// in twenty and that send in another order. Nothing leaks, nothing gets into another's stream, and what is dropped is counted.
func TestADayInABadSite(t *testing.T) {
	s := gbServer(t, 24)
	port := freePort(t)
	s.keys["rtp_proxy.port"] = strconv.Itoa(port)
	s.keys["rtp_proxy.timeoutSec"] = "3"
	s.start(faults{})
	goroutines, _ := weigh()
	st := newStage(t)
	site := &badSite{s: s, st: st, port: port}
	t.Run("re-invited on the same port", site.reinvited)
	t.Run("never stops sending", site.neverStops)
	t.Run("sends to another's port", site.wrongPort)
	t.Run("shares an SSRC", site.sharesSSRC)
	t.Run("loses one packet in twenty", site.loses)
	t.Run("sends in another order", site.reorders)
	if t.Failed() {
		return
	}
	st.stop()
	for name := range s.receivers() {
		s.call("closeRtpServer", "stream_id", name)
	}
	s.eventually("silent devices of the shared port are gone", func() bool { return len(s.receivers()) == 0 })
	s.eventually("no stream is left", func() bool { return s.call("getMediaList")["data"] == nil })
	s.audit(0)
	e := s.process.engine.Load()
	audit, err := actors.Ask[*portpool.Audited](t.Context(), s.process.runtime.System, e.Pool, &portpool.Audit{})
	require.NoError(t, err)
	require.NoError(t, audit.Err)
	require.Empty(t, audit.Drift)
	require.Zero(t, s.pool().Drift)
	s.eventually("the goroutines are where they were", func() bool { n, _ := weigh(); return n <= goroutines+16 })
	require.EqualValues(t, 1, s.generation(), "nothing broke down")
	require.Zero(t, s.process.runtime.Stats.Panics.Load())
}

// badSite is what the deeds have in common.
type badSite struct {
	s    *server
	st   *stage
	port int // that devices share
}

// settled waits until a counter of a receiver is what the test knows it must be.
func (b *badSite) settled(t *testing.T, stream, counter string, want int) {
	t.Helper()
	got := 0
	require.Eventually(t, func() bool {
		got = b.s.count(stream, counter)
		return got == want
	}, 20*time.Second, 20*time.Millisecond, "%s of %s", counter, stream)
}

func (b *badSite) reinvited(t *testing.T) {
	port := b.s.open("again", "ssrc", "501")
	d := dialDevice(t, "again", 501, "udp", port)
	b.st.play(d, nil)
	defer b.st.with(func() { _ = d.conn.Close() })
	for round := range 10 {
		v := b.s.mustView("rtp/again")
		b.s.eventually("pictures", func() bool { return v.got() >= 3 })
		require.NoError(t, v.judge("again", 3))
		require.EqualValues(t, 1, b.s.call("closeRtpServer", "stream_id", "again")["hit"])
		v.client.Close()
		require.Equal(t, port, b.s.open("again", "ssrc", "501"), "round %d", round)
	}
	require.EqualValues(t, 1, b.s.call("closeRtpServer", "stream_id", "again")["hit"])
}

func (b *badSite) neverStops(t *testing.T) {
	port := b.s.open("deaf")
	d := dialDevice(t, "deaf", 502, "udp", port)
	b.st.play(d, nil)
	b.s.mustView("rtp/deaf").client.Close()
	late := b.s.pool().Late
	require.EqualValues(t, 1, b.s.call("closeRtpServer", "stream_id", "deaf")["hit"])
	// Whoever is opened meanwhile gets another port, and no picture of the one that does not stop.
	b.s.eventually("its packets are counted", func() bool { return b.s.pool().Late > late })
	var opened []string
	for i := range 20 {
		name := fmt.Sprintf("fresh%d", i)
		fresh, err := b.s.tryOpen(name)
		require.NoError(t, err)
		require.NotEqual(t, port, fresh)
		opened = append(opened, name)
	}
	for _, name := range opened {
		require.Zero(t, b.s.count(name, "packets")+b.s.count(name, "strangers"), name)
		b.s.call("closeRtpServer", "stream_id", name)
	}
	b.st.with(func() { _ = d.conn.Close() })
}

func (b *badSite) wrongPort(t *testing.T) {
	right, wrong := b.s.open("right", "ssrc", "503"), b.s.open("wrong")
	owner := dialDevice(t, "right", 503, "udp", right)
	b.st.play(owner, nil)
	v := b.s.mustView("rtp/right")
	// One has the wrong SSRC, one the right SSRC and the wrong address, one sends what is no RTP at all.
	stray, twin, noise := dialDevice(t, "stray", 504, "udp", right), dialDevice(t, "twin", 503, "udp", right), dialDevice(t, "noise", 0, "udp", right)
	const pictures = 25
	for range pictures {
		b.st.with(func() {
			require.NoError(t, stray.send(stray.next()...))
			require.NoError(t, twin.send(twin.next()...))
			require.NoError(t, noise.send([]byte("GET / HTTP/1.1\r\n\r\n")))
		})
		had := v.got()
		b.s.eventually("the stream goes on", func() bool { return v.got() > had })
	}
	require.NoError(t, v.judge("right", pictures))
	// Each packet that was dropped is counted, under one name or another.
	foreign := int(stray.sent + twin.sent + noise.sent)
	dropped := 0
	require.Eventually(t, func() bool {
		r := b.s.receivers()["right"]
		dropped = 0
		for _, counter := range []string{"strangers", "other_ssrc", "invalid"} {
			dropped += int(r[counter].(float64))
		}
		return dropped == foreign
	}, 20*time.Second, 20*time.Millisecond, "%d packets of others", foreign)
	require.GreaterOrEqual(t, b.s.count("right", "strangers"), int(twin.sent))
	require.Zero(t, b.s.count("wrong", "packets"))
	require.Zero(t, b.s.count("right", "damaged"))
	require.NotZero(t, wrong)
	b.st.with(func() { _ = owner.conn.Close() })
	v.client.Close()
	for _, name := range []string{"right", "wrong"} {
		b.s.call("closeRtpServer", "stream_id", name)
	}
}

func (b *badSite) sharesSSRC(t *testing.T) {
	// On ports of their own an SSRC says nothing.
	for i := range 2 {
		name := fmt.Sprintf("own%d", i)
		d := dialDevice(t, name, 505, "udp", b.s.open(name, "ssrc", "505"))
		b.st.play(d, nil)
		defer b.st.with(func() { _ = d.conn.Close() })
	}
	// On the shared port the first one has the name.
	first := dialDevice(t, "first", 506, "udp", b.port)
	b.st.play(first, nil)
	defer b.st.with(func() { _ = first.conn.Close() })
	path := fmt.Sprintf("%08X", 506)
	v := b.s.mustView("rtp/" + path)
	for i, network := range []string{"udp", "tcp"} {
		d := dialDevice(t, "second", 506, network, b.port)
		for range 10 {
			// Over TCP the server may end the connection at once.
			b.st.with(func() { _ = d.send(d.next()...) })
		}
		had := v.got()
		b.s.eventually(fmt.Sprintf("the first one goes on (%d)", i), func() bool { return v.got() >= had+25 })
		require.NoError(t, d.conn.Close())
	}
	require.NoError(t, v.judge("first", 50))
	v.client.Close()
	for i := range 2 {
		name := fmt.Sprintf("own%d", i)
		v := b.s.mustView("rtp/" + name)
		b.s.eventually("pictures", func() bool { return v.got() >= 10 })
		require.NoError(t, v.judge(name, 10))
		v.client.Close()
		b.s.call("closeRtpServer", "stream_id", name)
	}
}

// badPictures is how many pictures a device sends that loses packets or sends them in another order.
const badPictures = 200

// rush sends all at once, as fast as the server takes it: what is tested counts packets, not time.
func (b *badSite) rush(t *testing.T, stream string, d *gbDevice, packets [][]byte) {
	t.Helper()
	for at := 0; at < len(packets); at += 30 {
		require.NoError(t, d.send(packets[at:min(at+30, len(packets))]...))
		b.s.eventually("the server has taken that", func() bool {
			r := b.s.receivers()[stream]
			taken := 0
			for _, counter := range []string{"packets", "late", "strangers", "other_ssrc", "invalid"} {
				n, _ := r[counter].(float64)
				taken += int(n)
			}
			return taken >= int(d.sent)
		})
	}
}

func (b *badSite) loses(t *testing.T) {
	d := dialDevice(t, "lossy", 507, "udp", b.s.open("lossy"))
	rng := rand.New(rand.NewPCG(1, 2))
	require.NoError(t, d.send(d.next()...))
	require.NoError(t, d.send(d.next()...))
	v := b.s.mustView("rtp/lossy")
	b.s.eventually("it begins with the first picture", func() bool { return v.got() > 0 }) // on a busy machine it may come before that has been published
	var packets [][]byte
	lost, made, whole := 0, 0, 2
	for range badPictures {
		torn := false
		for _, packet := range d.next() {
			made++
			if rng.IntN(20) == 0 {
				lost++
				torn = true
				continue
			}
			packets = append(packets, packet)
		}
		if !torn {
			whole++
		}
	}
	// What comes last must be there, so that every gap has an end.
	for range 3 {
		packets = append(packets, d.next()...)
	}
	b.rush(t, "lossy", d, packets)
	b.settled(t, "lossy", "lost", lost)
	require.Equal(t, int(d.sent), b.s.count("lossy", "packets"))
	require.Positive(t, b.s.count("lossy", "damaged"))
	// After a loss the pictures up to the next key picture are left out; those that come are whole.
	b.s.eventually("pictures", func() bool { return v.got() >= 20 })
	require.NoError(t, v.judge("lossy", 20))
	require.LessOrEqual(t, v.got(), whole+3)
	t.Logf("%d of %d packets lost, %d of %d pictures came through", lost, made, v.got(), badPictures)
	v.client.Close()
	b.s.call("closeRtpServer", "stream_id", "lossy")
}

func (b *badSite) reorders(t *testing.T) {
	d := dialDevice(t, "unsorted", 508, "udp", b.s.open("unsorted"))
	rng := rand.New(rand.NewPCG(3, 4))
	require.NoError(t, d.send(d.next()...))
	require.NoError(t, d.send(d.next()...))
	v := b.s.mustView("rtp/unsorted")
	b.s.eventually("it begins with the first picture", func() bool { return v.got() > 0 }) // on a busy machine it may come before that has been published
	var packets [][]byte
	for range badPictures {
		packets = append(packets, d.next()...)
	}
	const reach = 30
	for at := 0; at+reach <= len(packets); at += reach {
		rng.Shuffle(reach, func(i, j int) { packets[at+i], packets[at+j] = packets[at+j], packets[at+i] })
	}
	b.rush(t, "unsorted", d, packets)
	b.settled(t, "unsorted", "packets", int(d.sent))
	for _, counter := range []string{"lost", "late", "damaged", "restarts"} {
		require.Zero(t, b.s.count("unsorted", counter), counter)
	}
	require.Positive(t, b.s.count("unsorted", "reordered"))
	b.s.eventually("every picture", func() bool { return v.got() >= badPictures })
	require.NoError(t, v.judge("unsorted", badPictures))
	v.client.Close()
	b.s.call("closeRtpServer", "stream_id", "unsorted")
}
