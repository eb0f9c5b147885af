package receiver

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/netio/udp"
)

func TestADeviceIsPublished(t *testing.T) {
	r := newRig(t, 18, nil)
	port := r.mustOpen("a", nil)
	s := newSpeaker(t, 0x1234)
	s.chat(port)
	snap := r.await("a", "is published", published)
	require.Equal(t, testKey("a"), snap.Stream)
	require.Equal(t, s.addr(), snap.Peer)
	require.Equal(t, "udp", snap.Transport)
	require.EqualValues(t, 0x1234, snap.Stats.SSRC)
	require.Equal(t, "pcma", snap.Stats.Payload)
	live, ok := r.stream("a")
	require.True(t, ok)
	require.Equal(t, stream.OriginRTPPush, live.Origin.Type)
	require.Equal(t, s.addr(), live.Origin.Peer)
	require.Equal(t, netip.AddrPortFrom(loopback, port), live.Origin.Local)
	require.Equal(t, testKey("a").String(), live.Origin.ID)
	actortest.Eventually(t, func() bool { now, ok := r.stream("a"); return ok && now.Stats.Packets > 20 }, "media flows")
	require.True(t, r.close("a"))
	actortest.Eventually(t, func() bool { _, ok := r.stream("a"); return !ok }, "the stream ends at once")
	r.requireNothing()
}

func TestADeviceThatFallsSilentIsClosed(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.RTPProxy.Timeout = 500 * time.Millisecond })
	port := r.mustOpen("a", nil)
	s := newSpeaker(t, 1)
	stop := s.chat(port)
	r.await("a", "is published", published)
	began := r.await("a", "lives longer than the silence that is allowed", func(s Snapshot) bool { return s.Stats.Frames > 200 })
	require.Equal(t, port, began.Port)
	require.Empty(t, r.hook.Drain(t))
	stop()
	require.Equal(t, "a", r.notified().Body["stream_id"])
	r.requireNothing()
}

func TestStrangersAreNotHeard(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.RTPProxy.RelearnAfter = time.Hour })
	port := r.mustOpen("a", func(d *store.Receiver) { d.SSRC = 7 })
	wrong, right, stranger := newSpeaker(t, 6), newSpeaker(t, 7), newSpeaker(t, 7)
	wrong.chat(port)
	r.await("a", "another SSRC is not wanted", func(s Snapshot) bool { return s.Stats.OtherSSRC > 5 })
	right.chat(port)
	r.await("a", "the right one is", func(s Snapshot) bool { return s.Peer == right.addr() && published(s) })
	stranger.chat(port)
	snap := r.await("a", "a stranger is counted", func(s Snapshot) bool { return s.Stats.Strangers > 5 })
	require.Equal(t, right.addr(), snap.Peer)
	require.NoError(t, ask[*Done](r, r.receivers, &SetSSRC{testKey("a"), 6}).Err)
	r.await("a", "the SSRC was changed", func(s Snapshot) bool { return s.Peer == wrong.addr() && s.Stats.SSRC == 6 })
	require.EqualValues(t, 6, r.stored()["a"].SSRC)
}

// The device of a closed receiver that sends on is heard by nobody: not while its port drains, and not by the next stream on that port.
func TestADeviceThatNeverStopsIsNotHeardByTheNextStream(t *testing.T) {
	r := newRig(t, 18, func(r *rig) {
		r.config.Pool.DrainIdle, r.config.Pool.DrainMax, r.config.Pool.CoolDown = 200*time.Millisecond, time.Hour, time.Hour
	})
	port := r.mustOpen("a", nil)
	old := newSpeaker(t, 1)
	old.chat(port)
	r.await("a", "is published", published)
	require.True(t, r.close("a"))
	for i := range 17 { // all that is left of the range
		require.NotEqual(t, port, r.mustOpen(fmt.Sprint("b", i), nil))
	}
	require.ErrorContains(t, r.open("more", nil).Err, "none reserved port in pool")
	err := r.open("given", func(d *store.Receiver) { d.Port = port }).Err
	require.ErrorContains(t, err, "was released by rtp/a")
	for _, snap := range r.list() {
		require.Zero(t, snap.Stats.Packets+snap.Stats.Strangers+snap.Stats.Invalid, "%s has heard a stranger", snap.Key.Path())
	}
	require.Equal(t, port, r.mustOpen("a", nil), "only the same stream gets it back")
	r.await("a", "is published again", published)
}

func TestADeviceThatInvitesAgainGoesOn(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.Pool.DrainIdle, r.config.Pool.DrainMax = time.Second, time.Hour })
	port := r.mustOpen("a", nil)
	s := newSpeaker(t, 1)
	s.chat(port)
	for range 5 {
		r.await("a", "is published", published)
		require.True(t, r.close("a"))
		require.Equal(t, port, r.mustOpen("a", nil))
	}
	r.await("a", "is published", published)
	r.audit()
}

func TestAStreamThatIsTakenIsAskedForAgain(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.Protocol.ContinuePush = 0 })
	other := actortest.NewProbe(t, r.rt, "other publisher")
	holder := newRigTracks(t)
	other.Request(r.streams, &streams.Publish{Key: testKey("a"), Attach: stream.Attach{Publisher: other.PID, Tracks: holder, Options: stream.Options{EnableAudio: true}}})
	attached := actortest.Expect[*stream.Attached](t, other)
	port := r.mustOpen("a", nil)
	newSpeaker(t, 1).chat(port)
	snap := r.await("a", "hears its device", func(s Snapshot) bool { return s.Stats.Frames > 20 })
	require.False(t, snap.Stream.Valid(), "another one publishes")
	r.rt.System.Root.Send(attached.Stream, &stream.Detach{Publisher: other.PID, Final: true})
	r.await("a", "is published when the stream is free", published)
}

func TestWhoeverEndsTheStreamEndsTheReceiver(t *testing.T) {
	r := newRig(t, 18, nil)
	a, b := r.mustOpen("a", nil), r.mustOpen("b", nil)
	r.mustOpen("idle", nil)
	newSpeaker(t, 1).chat(a)
	newSpeaker(t, 2).chat(b)
	r.await("a", "is published", published)
	r.await("b", "is published", published)
	k := testKey("a")
	closed := ask[*streams.StreamsClosed](r, r.streams, &streams.CloseStreams{
		Filter: streams.Filter{VHost: k.VHost, App: k.App, Stream: k.Stream}, Force: true, Reason: actors.ReasonKicked,
	})
	require.Equal(t, 1, closed.Closed)
	actortest.Eventually(t, func() bool { _, there := r.one("a"); return !there }, "the receiver goes with its stream")
	require.Equal(t, 1, ask[*StreamsClosed](r, r.receivers, &CloseStreams{App: DefaultApp}).Hit, "those that have had no media are left alone")
	_, there := r.one("b")
	require.False(t, there)
	require.Equal(t, 1, r.leased(), "it is acknowledged after the pair is back")
	require.Zero(t, ask[*StreamsClosed](r, r.receivers, &CloseStreams{Stream: "idle"}).Hit)
	require.Empty(t, r.hook.Drain(t))
	require.True(t, r.close("idle"))
	r.requireNothing()
}

func TestAStreamThatFailsIsPublishedAnew(t *testing.T) {
	r := newRig(t, 18, nil)
	port := r.mustOpen("a", nil)
	newSpeaker(t, 1).chat(port)
	r.await("a", "is published", published)
	before := r.find("/" + childPrefix(testKey("a")))
	require.NotEmpty(t, before)
	for _, id := range before {
		r.rt.System.Root.Send(id, &actors.Crash{}) // the stream's actor, and the receiver's
	}
	actortest.Eventually(t, func() bool {
		live, ok := r.stream("a")
		return ok && live.Online && live.Stats.Packets > 5
	}, "it is published anew")
	r.await("a", "and has its port", func(s Snapshot) bool { return s.Port == port && published(s) })
	r.audit()
}

func TestACrashedReceiverGoesOnInTheSameStream(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.Protocol.ContinuePush = time.Hour })
	port := r.mustOpen("a", nil)
	newSpeaker(t, 1).chat(port)
	r.await("a", "is published", published)
	first, _ := r.stream("a")
	r.rt.System.Root.Send(r.child("a"), &actors.Crash{})
	actortest.Eventually(t, func() bool {
		live, ok := r.stream("a")
		return ok && live.Created.Equal(first.Created) && live.Stats.Restarts > 0
	}, "its stream was kept for it")
	r.await("a", "on the same port", func(s Snapshot) bool { return s.Port == port && published(s) })
}

func TestDevicesConnectToAPassiveReceiver(t *testing.T) {
	r := newRig(t, 18, nil)
	port := r.mustOpen("a", func(d *store.Receiver) { d.TCPMode = tcpPassive })
	for range 3 {
		conn, err := net.Dial("tcp4", netip.AddrPortFrom(loopback, port).String())
		require.NoError(t, err)
		stop := newSpeaker(t, 1).stream(conn)
		r.await("a", "is published over TCP", func(s Snapshot) bool {
			return published(s) && s.Transport == "tcp" && s.Peer.String() == conn.LocalAddr().String()
		})
		before, _ := r.one("a")
		r.await("a", "media flows", func(s Snapshot) bool { return s.Stats.Frames > before.Stats.Frames+10 })
		stop()
		require.NoError(t, conn.Close())
	}
	require.True(t, r.close("a"))
	r.requireNothing()
}

func TestAnActiveReceiverConnectsFromItsPortAndAgainAfterARestart(t *testing.T) {
	r := newRig(t, 18, nil)
	device, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer device.Close()
	target := device.Addr().(*net.TCPAddr).AddrPort()
	port := r.mustOpen("a", func(d *store.Receiver) { d.TCPMode = tcpActive })
	accept := func() (stop func()) {
		conn, err := device.Accept()
		require.NoError(t, err)
		require.Equal(t, netip.AddrPortFrom(loopback, port).String(), conn.RemoteAddr().String(), "it connects from the port that was answered")
		t.Cleanup(func() { _ = conn.Close() })
		return newSpeaker(t, 1).stream(conn)
	}
	require.NoError(t, ask[*Connected](r, r.receivers, &Connect{testKey("a"), "127.0.0.1", target.Port()}).Err)
	stop := accept()
	r.await("a", "is published", func(s Snapshot) bool { return published(s) && s.Peer == target })
	actortest.Eventually(t, func() bool { return r.stored()["a"].HostPort == target.Port() }, "the device is remembered")
	stop()
	actortest.Stop(t, r.rt, r.receivers)
	r.restore = ask[*store.Receivers](r, r.store, &store.ListReceivers{}).Receivers
	r.start()
	stop = accept()
	r.await("a", "is published again", func(s Snapshot) bool { return published(s) && s.Port == port })
	stop()

	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	err = ask[*Connected](r, r.receivers, &Connect{testKey("a"), "127.0.0.1", closed.Addr().(*net.TCPAddr).AddrPort().Port()}).Err
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, ask[*Connected](r, r.receivers, &Connect{testKey("a"), "", 0}).Err, "no address")
}

// TestAConnectIsNotSpoiltByTheReceiversOwnAttempt: after a restart the receiver tries by itself, and the platform asks for the same.
func TestAConnectIsNotSpoiltByTheReceiversOwnAttempt(t *testing.T) {
	device, target := deafListener(t)
	defer device.Close()
	r := newRig(t, 18, func(r *rig) {
		r.restore = []store.Receiver{{Key: testKey("a"), TCPMode: tcpActive, Host: "127.0.0.1", HostPort: target.Port(), Created: time.Now()}}
	})
	r.await("a", "is open", func(s Snapshot) bool { return s.Port != 0 })
	hears := time.AfterFunc(200*time.Millisecond, func() {
		for { // ends with the listener
			conn, err := device.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	})
	defer hears.Stop()
	require.NoError(t, ask[*Connected](r, r.receivers, &Connect{testKey("a"), "127.0.0.1", target.Port()}).Err)
}

// deafListener listens without taking in connections, until somebody accepts. The caller closes it.
func deafListener(t *testing.T) (net.Listener, netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0))
	file := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	target := l.Addr().(*net.TCPAddr).AddrPort()
	for { // until nobody is let in any more
		conn, err := net.DialTimeout("tcp4", target.String(), 100*time.Millisecond)
		if err != nil {
			return l, target
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func TestTalkGoesBackToTheDevice(t *testing.T) {
	r := newRig(t, 18, nil)
	port := r.mustOpen("a", nil)
	s := newSpeaker(t, 1)
	s.chat(port)
	r.await("a", "is published", published)
	talk := ask[*Talk](r, r.receivers, &GetTalk{testKey("a")})
	require.NoError(t, talk.Err)
	require.Equal(t, r.child("a").Id, talk.Receiver.Id)
	require.Equal(t, s.addr(), talk.Path.Peer())
	_, err := talk.Path.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 100)
	require.NoError(t, s.conn.SetReadDeadline(time.Now().Add(actortest.Wait)))
	n, from, err := s.conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))
	require.Equal(t, netip.AddrPortFrom(loopback, port), from)
	require.True(t, r.close("a"))
	select {
	case <-talk.Path.Closed():
	case <-time.After(actortest.Wait):
		t.Fatal("the way back outlives the receiver")
	}
}

func TestPicturesOfDemandAreSparedWhileNobodyWatches(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.RTPProxy.ParseOnDemand = true })
	port := r.mustOpen("a", nil)
	newSpeaker(t, 1).chat(port)
	r.await("a", "is published and not looked into", func(s Snapshot) bool { return s.Stream.Valid() && s.Stats.Unwatched > 10 })
	next := *r.config
	next.RTPProxy.ParseOnDemand = false
	ask[*actors.ConfigTaken](r, r.receivers, &actors.ConfigChanged{Config: &next})
	before, _ := r.one("a")
	r.await("a", "is parsed", func(s Snapshot) bool { return s.Stats.Frames > before.Stats.Frames+10 })
}

// sharedPort makes the sockets of rtp_proxy.port.
func sharedPort(t *testing.T) *Shared {
	t.Helper()
	for {
		conn, err := udp.Bind(loopback, 0, udp.Options{})
		require.NoError(t, err)
		local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		listener, err := udp.ListenTCP(loopback, local.Port())
		if err != nil {
			_ = conn.Close() // somebody has that port over TCP
			continue
		}
		t.Cleanup(func() { _, _ = conn.Close(), listener.Close() })
		return &Shared{UDP: conn, TCP: func() net.Listener { return listener }, Local: local}
	}
}

func TestDevicesShareThePortOfTheConfiguration(t *testing.T) {
	var shared *Shared
	r := newRig(t, 18, func(r *rig) { shared = sharedPort(t); r.shared = shared })
	var devices []*speaker
	for i := range 6 {
		s := newSpeaker(t, 0x0BEBC200+uint32(i))
		devices = append(devices, s)
		if i%2 == 0 {
			s.chat(shared.Local.Port())
			continue
		}
		conn, err := net.Dial("tcp4", shared.Local.String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		s.stream(conn)
	}
	for i := range devices {
		name := fmt.Sprintf("0BEBC2%02X", i)
		snap := r.await(name, "is published", published)
		require.True(t, snap.Shared)
		require.Equal(t, testKey(name), snap.Key)
		require.Equal(t, shared.Local.Port(), snap.Port)
	}
	require.Zero(t, r.leased())
	require.Empty(t, r.stored())
	require.Len(t, r.list(), 6)
	require.NoError(t, ask[*Done](r, r.receivers, &PauseCheck{testKey("0BEBC200"), time.Hour}).Err)
	r.await("0BEBC200", "paused", func(s Snapshot) bool { return !s.Paused.IsZero() })
	require.NoError(t, ask[*Talk](r, r.receivers, &GetTalk{testKey("0BEBC200")}).Err)
	require.NoError(t, ask[*Talk](r, r.receivers, &GetTalk{testKey("0BEBC201")}).Err)

	require.Equal(t, 1, ask[*StreamsClosed](r, r.receivers, &CloseStreams{Stream: "0BEBC202"}).Hit)
	r.await("0BEBC202", "a device that sends on is a new one", published)
	require.False(t, r.close("0BEBC202"), "it is not a receiver that was opened")

	// One device, then the port itself, panic: the rest goes on, and comes back.
	for _, id := range r.find("/0BEBC203-") {
		r.rt.System.Root.Send(id, &actors.Crash{})
	}
	r.await("0BEBC203", "is found anew", published)
	for _, id := range r.find("/" + childPrefix(sharedKey())) {
		r.rt.System.Root.Send(id, &actors.Crash{})
	}
	for i := 0; i < len(devices); i += 2 {
		r.await(fmt.Sprintf("0BEBC2%02X", i), "is published again", published)
	}
	require.Empty(t, r.hook.Drain(t))
}

func TestDevicesOfASharedPortAreBoundedAndLeaveWhenTheyAreSilent(t *testing.T) {
	var shared *Shared
	r := newRig(t, 18, func(r *rig) {
		shared = sharedPort(t)
		r.shared = shared
		r.config.RTPProxy.MaxDevices = 2
		r.config.RTPProxy.Timeout = 400 * time.Millisecond
	})
	port := shared.Local.Port()
	stops := []func(){newSpeaker(t, 0xA).chat(port), newSpeaker(t, 0xB).chat(port)}
	r.await("0000000A", "is published", published)
	r.await("0000000B", "is published", published)
	newSpeaker(t, 0xC).chat(port)
	stops[0]()
	actortest.Eventually(t, func() bool { _, there := r.one("0000000A"); return !there }, "a silent device leaves")
	r.await("0000000C", "takes its place", published)
	newSpeaker(t, 0xD).chat(port)
	next := *r.config
	next.RTPProxy.MaxDevices = 3
	ask[*actors.ConfigTaken](r, r.receivers, &actors.ConfigChanged{Config: &next})
	r.await("0000000D", "a raised limit lets it in", published)
	require.Empty(t, r.hook.Drain(t), "nobody is told of a device that leaves")
}

func TestInventedDevicesMakeRoomForRealOnes(t *testing.T) {
	var shared *Shared
	var lines sync.Map // of the log, by text: how often
	r := newRig(t, 18, func(r *rig) {
		shared = sharedPort(t)
		r.shared = shared
		r.config.RTPProxy.MaxDevices = 4
		own := *r.rt
		own.Log = zerolog.New(io.Discard).Hook(zerolog.HookFunc(func(_ *zerolog.Event, level zerolog.Level, text string) {
			n, _ := lines.LoadOrStore(level.String()+" "+text, &atomic.Int32{})
			n.(*atomic.Int32).Add(1)
		}))
		r.rt = &own
	})
	port := shared.Local.Port()
	newSpeaker(t, 0xA).chat(port)
	r.await("0000000A", "is published", published)
	for i := range 3 {
		invented := newSpeaker(t, 0xB0+uint32(i))
		for range 3 { // no form of media
			pkt := invented.packet()
			pkt[1] = 96
			_, err := invented.conn.WriteToUDPAddrPort(pkt, netip.AddrPortFrom(loopback, port))
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool { return len(r.list()) == 4 }, actortest.Wait, 10*time.Millisecond)
	require.NoError(t, ask[*Done](r, r.receivers, &PauseCheck{testKey("000000B0"), time.Hour}).Err)
	newSpeaker(t, 0xC).chat(port)
	r.await("0000000C", "is let in", published)
	r.await("0000000A", "stays", published)
	_, there := r.one("000000B0")
	require.True(t, there, "the test for silence is paused")
	infos, warnings := 0, 0
	lines.Range(func(line, n any) bool {
		switch text := line.(string); {
		case strings.HasPrefix(text, "info a device"), strings.HasPrefix(text, "info device of"):
			infos++
		case strings.HasPrefix(text, "warn new devices of the shared port"):
			warnings += int(n.(*atomic.Int32).Load())
		}
		return true
	})
	require.Equal(t, 1, warnings, "however many are turned away")
	require.Zero(t, infos, "nobody can fill the log")
}

func TestAMultiplexReceiverNamesStreamsByTheirSSRC(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.RTPProxy.Timeout = time.Second })
	port := r.mustOpen("key", func(d *store.Receiver) { d.Multiplex, d.TCPMode, d.Key.App = true, 1, "many" })
	require.Equal(t, 1, r.leased())
	newSpeaker(t, 0x10).chat(port)
	newSpeaker(t, 0x20).chat(port)
	named := func(stream string) Snapshot {
		var found Snapshot
		actortest.Eventually(t, func() bool {
			for _, s := range r.list() {
				if s.Key.Stream == stream && published(s) {
					found = s
					return true
				}
			}
			return false
		}, "%s is published", stream)
		return found
	}
	require.Equal(t, "many", named("00000010").Stream.App)
	require.Equal(t, "many", named("00000020").Stream.App)
	found := ask[*Closed](r, r.receivers, &Close{mediaKey("many", "key")})
	require.True(t, found.Found)
	require.Zero(t, r.leased())
	r.requireNothing()
}

func TestAFullRestartOfReceiversBringsDevicesBack(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.Pool.DrainIdle, r.config.Pool.DrainMax = time.Second, time.Hour })
	for i := range 5 {
		newSpeaker(t, uint32(i)).chat(r.mustOpen(fmt.Sprint(i), nil))
	}
	for round := range 2 {
		for i := range 5 {
			r.await(fmt.Sprint(i), "is published", func(s Snapshot) bool { return published(s) && s.Restored == (round > 0) })
		}
		actortest.Stop(t, r.rt, r.receivers)
		r.restore = ask[*store.Receivers](r, r.store, &store.ListReceivers{}).Receivers
		r.start()
	}
	require.Equal(t, 5, ask[*Restored](r, r.receivers, &GetRestored{}).Restored)
	r.audit()
}

func TestEveryDefaultOfTheKeysIsUsable(t *testing.T) {
	r := newRig(t, 18, func(r *rig) {
		pool, rtp := r.config.Pool, r.config.RTPProxy.PortRange
		*r.config = *config.Default()
		r.config.Pool, r.config.RTPProxy.PortRange, r.config.General.ListenIP = pool, rtp, loopback
	})
	newSpeaker(t, 1).chat(r.mustOpen("a", nil))
	r.await("a", "is published after the wait for a second track", published)
}
