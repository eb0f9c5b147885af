package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// unit is one access unit as a viewer gets it.
type unit struct {
	at   int64 // ticks of its track's clock
	rate int64 // of that clock, Hz
	sum  uint64
}

// witness watches a stream and keeps what it got of each track.
type witness struct {
	client gortsplib.Client
	seed   maphash.Seed

	mu           sync.Mutex
	video, audio []unit
	faults       []string
}

// watchUnits plays a stream until close.
func watchUnits(url string, seed maphash.Seed) (*witness, error) {
	u, err := base.ParseURL(url)
	if err != nil {
		return nil, err
	}
	tcp := gortsplib.ProtocolTCP
	w := &witness{seed: seed, client: gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &tcp}}
	if err := w.client.Start(); err != nil {
		return nil, err
	}
	if err := w.play(u); err != nil {
		w.client.Close()
		return nil, err
	}
	return w, nil
}

func (w *witness) play(u *base.URL) error {
	described, _, err := w.client.Describe(u)
	if err != nil {
		return err
	}
	if err := w.client.SetupAll(described.BaseURL, described.Medias); err != nil {
		return err
	}
	var video *format.H264
	if media := described.FindFormat(&video); media != nil {
		if err := w.onVideo(media, video); err != nil {
			return err
		}
	}
	var audio *format.MPEG4Audio
	if media := described.FindFormat(&audio); media != nil {
		if err := w.onAudio(media, audio); err != nil {
			return err
		}
	}
	_, err = w.client.Play(nil)
	return err
}

func (w *witness) onVideo(media *description.Media, f *format.H264) error {
	decoder, err := f.CreateDecoder()
	if err != nil {
		return err
	}
	w.client.OnPacketRTP(media, f, func(packet *rtp.Packet) {
		at, ok := w.client.PacketPTS(media, packet)
		units, err := decoder.Decode(packet)
		if errors.Is(err, rtph264.ErrMorePacketsNeeded) || errors.Is(err, rtph264.ErrNonStartingPacketAndNoPrevious) {
			return
		}
		var picture [][]byte
		for _, u := range units {
			if kind := u[0] & 0x1f; kind != 7 && kind != 8 && kind != 9 { // parameter sets may be repeated; delimiters say nothing
				picture = append(picture, u)
			}
		}
		w.keep(&w.video, at, 90000, ok, err, bytes.Join(picture, []byte{0, 0, 1}))
	})
	return nil
}

func (w *witness) onAudio(media *description.Media, f *format.MPEG4Audio) error {
	decoder, err := f.CreateDecoder()
	if err != nil {
		return err
	}
	w.client.OnPacketRTP(media, f, func(packet *rtp.Packet) {
		at, ok := w.client.PacketPTS(media, packet)
		units, err := decoder.Decode(packet)
		if errors.Is(err, rtpmpeg4audio.ErrMorePacketsNeeded) {
			return
		}
		for i, u := range units {
			w.keep(&w.audio, at+int64(i)*1024, int64(f.ClockRate()), ok, err, u)
		}
		if err != nil {
			w.keep(&w.audio, at, int64(f.ClockRate()), ok, err, nil)
		}
	})
	return nil
}

func (w *witness) keep(list *[]unit, at, rate int64, timed bool, err error, payload []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || !timed {
		w.faults = append(w.faults, fmt.Sprintf("after %d pictures: %v (timed: %v)", len(w.video), err, timed))
		return
	}
	*list = append(*list, unit{at, rate, maphash.Bytes(w.seed, payload)})
}

// seen returns what has come so far.
func (w *witness) seen() (video, audio []unit, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) > 0 {
		err = errors.New(strings.Join(w.faults, "\n"))
	}
	return w.video[:len(w.video):len(w.video)], w.audio[:len(w.audio):len(w.audio)], err
}

// sameUnits wants copy to be a part of original without a gap, byte by byte, and as far apart in time.
func sameUnits(original, copied []unit) error {
	if len(copied) < 40 {
		return fmt.Errorf("only %d units", len(copied))
	}
	best := ""
	longest := -1
	for from := range original {
		n, why := sameFrom(original[from:], copied)
		if n == len(copied) {
			return nil
		}
		if n > longest {
			longest, best = n, fmt.Sprintf("unit %d as unit %d of the original: %s", n, from+n, why)
		}
	}
	return fmt.Errorf("of %d units %d agree at most; %s", len(copied), longest, best)
}

// clockSlack is what a change of clock and back may cost: 90 kHz has no exact times for the frames of 44.1 kHz.
const clockSlack = 250 * time.Microsecond

func sameFrom(original, copied []unit) (n int, why string) {
	for n := range copied {
		if n >= len(original) {
			return n, "the original has ended"
		}
		a, b := original[n], copied[n]
		if a.sum != b.sum {
			return n, "other bytes"
		}
		passedA, passedB := time.Duration(a.at-original[0].at)*time.Second/time.Duration(a.rate), time.Duration(b.at-copied[0].at)*time.Second/time.Duration(b.rate)
		if off := passedA - passedB; off.Abs() > clockSlack {
			return n, fmt.Sprintf("it comes %v after the first one, and should after %v", passedB, passedA)
		}
	}
	return len(copied), ""
}

// carries watches both ends of a cascade until enough has passed, and compares. Pictures and sound must also keep their distance from each other.
func carries(origin, end string, video, audio bool) error {
	seed := maphash.MakeSeed()
	source, err := watchUnits(origin, seed)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer source.client.Close()
	relayed, err := watchUnits(end, seed)
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	defer relayed.client.Close()
	// The last units may be on their way: what is compared is all but them.
	var pictures, sounds []unit
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		if pictures, sounds, err = relayed.seen(); err != nil {
			return err
		}
		if (!video || len(pictures) >= 100) && (!audio || len(sounds) >= 150) {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d pictures and %d sounds have come", len(pictures), len(sounds))
		}
	}
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		allPictures, allSounds, err := source.seen()
		if err != nil {
			return err
		}
		if !video || len(pictures) > 0 {
			if err = compare(allPictures, pictures, video, "pictures"); err == nil {
				err = compare(allSounds, sounds, audio, "sound")
			}
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func compare(original, copied []unit, wanted bool, what string) error {
	if !wanted {
		if len(copied) > 0 {
			return fmt.Errorf("%s: %d units that nobody asked for", what, len(copied))
		}
		return nil
	}
	if err := sameUnits(original, copied); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// A stream that goes from one instance to another is the same at the other end, bit for bit, over every way there is.
func TestCascadesAreBitExact(t *testing.T) {
	t.Parallel()
	camera := startCamera(t)
	upper, lower := newInteropDaemon(t, "127.0.0.1"), newInteropDaemon(t, "127.0.0.1")
	upper.start(t)
	lower.start(t)
	lower.pullFrom(camera.URL("cam"), "cam", 0)
	lower.waitFlows("cam", 2)
	ssrc := 1000
	source := func(more ...string) []string {
		ssrc++
		return append([]string{"vhost", "v", "app", "live", "stream", "cam", "ssrc", fmt.Sprint(ssrc)}, more...)
	}
	to := func(port string) []string { return []string{"dst_url", "127.0.0.1", "dst_port", port} }
	var steps []step
	expect := func(stream string, video, audio bool) {
		steps = append(steps, step{stream, func() error {
			return carries(lower.url("cam"), upper.url(stream), video, audio)
		}})
	}
	for _, form := range []string{"1", "2"} {
		stream := "udp-" + form
		lower.must("startSendRtp", source(append(to(upper.openReceiver(stream, 0)), "is_udp", "1", "type", form)...)...)
		expect(stream, true, true)
		stream = "tcp-" + form
		lower.must("startSendRtp", source(append(to(upper.openReceiver(stream, 1)), "is_udp", "0", "type", form)...)...)
		expect(stream, true, true)
		stream = "passive-tcp-" + form
		upper.openReceiver(stream, 2)
		r := lower.must("startSendRtpPassive", source("type", form)...)
		upper.must("connectRtpServer", append(to(fmt.Sprint(number(r, "local_port"))), "app", "live", "stream_id", stream)...)
		expect(stream, true, true)
		stream = "passive-udp-" + form
		r = lower.must("startSendRtpPassive", source("type", form, "is_udp", "1")...)
		forward(t, number(r, "local_port"), upper.openReceiver(stream, 0))
		expect(stream, true, true)
	}
	lower.must("startSendRtp", source(append(to(upper.openReceiver("es", 0)), "is_udp", "1", "type", "0")...)...)
	expect("es", true, false)
	lower.must("startSendRtp", source(append(to(upper.openReceiver("sound", 1)), "is_udp", "0", "only_audio", "1")...)...)
	expect("sound", false, true)
	for _, s := range steps {
		tracks := 2
		if s.name == "es" || s.name == "sound" {
			tracks = 1
		}
		if s.name != "sound" {
			upper.waitFlows(s.name, tracks)
		}
	}
	together(t, steps...)
	upper.checkReceived(t, 10, "ps", "ts", "h264")
}

// forward opens the way of a passive UDP sender, as the other side would, and hands on what comes.
func forward(t *testing.T, from int, to string) {
	t.Helper()
	in, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: from})
	require.NoError(t, err)
	_ = in.SetReadBuffer(4 << 20)
	out, err := net.Dial("udp4", net.JoinHostPort("127.0.0.1", to))
	require.NoError(t, err)
	_, err = in.Write([]byte("here"))
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, err := in.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = out.Write(buf[:n])
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-done
		_ = out.Close()
	})
}

// Talk goes both ways over one socket: what a device gets back is what the platform's stream is, and what it pushes goes on coming in.
func TestTalksAreBitExact(t *testing.T) {
	t.Parallel()
	up, down := startCamera(t), startCamera(t)
	platform, device := newInteropDaemon(t, "127.0.0.1"), newInteropDaemon(t, "127.0.0.1")
	platform.start(t)
	device.start(t)
	platform.pullFrom(down.URL("cam"), "voice", 0)
	device.pullFrom(up.URL("cam"), "cam", 0)
	platform.waitFlows("voice", 2)
	device.waitFlows("cam", 2)
	var steps []step
	for i, way := range []string{"udp", "tcp"} {
		pushed, back := "pushed-"+way, "back-"+way
		port := platform.openReceiver(pushed, i)
		device.must("startSendRtp", "vhost", "v", "app", "live", "stream", "cam", "ssrc", fmt.Sprint(10+i), "dst_url", "127.0.0.1", "dst_port", port,
			"is_udp", fmt.Sprint(1-i), "recv_stream_id", back)
		platform.waitFlows(pushed, 2)
		platform.must("startSendRtpTalk", "vhost", "v", "app", "live", "stream", "voice", "ssrc", fmt.Sprint(20+i), "recv_stream_id", pushed)
		device.waitFlows(back, 2)
		steps = append(
			steps,
			step{way + ", to the platform", func() error { return carries(device.url("cam"), platform.url(pushed), true, true) }},
			step{way + ", to the device", func() error { return carries(platform.url("voice"), device.url(back), true, true) }},
		)
	}
	together(t, steps...)
	r := platform.must("listRtpSender", "vhost", "v", "app", "live", "stream", "voice")
	require.Len(t, r["data"], 2)
	for _, pushed := range []string{"pushed-udp", "pushed-tcp"} {
		require.Equal(t, 1, number(platform.must("closeRtpServer", "app", "live", "stream_id", pushed), "hit"))
	}
	platform.eventually("a talk ends with its device", func() bool {
		r, err := platform.api("listRtpSender", "vhost", "v", "app", "live", "stream", "voice")
		return err == nil && r["data"] == nil
	})
}

// Whoever looks for the holder of a port finds receivers and senders by their stream.
func TestPortsNameReceiversAndSenders(t *testing.T) {
	t.Parallel()
	camera := startCamera(t)
	d := newInteropDaemon(t, "127.0.0.1")
	d.start(t)
	d.pullFrom(camera.URL("cam"), "cam", 0)
	port := d.openReceiver("device", 1)
	sender := number(d.must("startSendRtpPassive", "vhost", "v", "app", "live", "stream", "cam", "ssrc", "1", "is_udp", "1", "close_delay_ms", "600000"), "local_port")
	got := d.cli("ports", "--all")
	require.Equal(t, 0, got.code, got.errOut)
	require.Regexp(t, port+`-\d+ +leased +live/device +rtp_receive`, got.out)
	require.Regexp(t, fmt.Sprint(sender)+`-\d+ +leased +live/cam +rtp_send`, got.out)
	d.must("closeRtpServer", "app", "live", "stream_id", "device")
	d.must("stopSendRtp", "vhost", "v", "app", "live", "stream", "cam")
	require.Equal(t, 0, d.cli("ports", "--audit").code)
}
