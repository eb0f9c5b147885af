package sender

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/actors/receiver"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media"
	"berth/netio/gb28181"
)

func TestSendsOverUDPFromALeasedPair(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	conn, peer := udpPeer(t)
	port := f.begin(to(peer, true, nil))
	require.Zero(t, port%2)
	require.True(t, f.config.RTPProxy.PortRange.Contains(port))
	require.Equal(t, 1, f.leased())
	s.say()
	p, from := hear(t, conn)
	require.Equal(t, port, from.Port())
	require.EqualValues(t, 77, p.SSRC)
	require.EqualValues(t, 8, p.PayloadType)
	require.Len(t, p.Payload, 800)

	snap := f.list()[0]
	require.Equal(t, "77", snap.SSRC)
	require.Equal(t, testKey("x"), snap.Stream)
	require.Equal(t, peer, snap.Peer)
	require.Equal(t, port, snap.Local.Port())
	require.False(t, snap.Since.IsZero())
	actortest.Eventually(t, func() bool { return f.list()[0].Stats.Packets == 1 }, "counted")
	actortest.Eventually(t, func() bool {
		v := f.viewers("x")
		return len(v) == 1 && v[0].Info.Peer == peer && v[0].Stats.Packets == 1
	}, "a viewer of its stream")
	require.Equal(t, "rtp", f.viewers("x")[0].Info.Protocol)
	stored := f.stored()
	require.Len(t, stored, 1)
	require.Equal(t, port, stored[0].Leased)

	require.Equal(t, 1, f.stop("x", "77").Count)
	f.requireNothing()
	require.Empty(t, f.viewers("x"))
	require.ErrorIs(t, f.stop("x", "77").Err, ErrNothing)
	require.ErrorIs(t, f.stop("nothing", "").Err, ErrNoSource)
	f.hook.ExpectNothing(t)
}

func TestSendsOverTCP(t *testing.T) {
	for _, from := range []string{"any", "leased", "outside"} {
		t.Run(from, func(t *testing.T) {
			f := newFixture(t, nil)
			s := f.publish("x")
			l, peer := tcpPeer(t)
			d := to(peer, false, nil)
			switch from {
			case "leased":
				d.LocalPort = f.config.RTPProxy.PortRange.Low + 4
			case "outside":
				d.LocalPort = freeBeside(t, f)
			}
			port := f.begin(d)
			conn := accept(t, l)
			if d.LocalPort != 0 {
				require.Equal(t, d.LocalPort, port)
			}
			require.EqualValues(t, port, conn.RemoteAddr().(*net.TCPAddr).Port)
			s.say()
			require.EqualValues(t, 77, hearFramed(t, conn).SSRC)
			require.Equal(t, map[string]int{"leased": 1}[from], f.leased())
			require.Equal(t, 1, f.stop("x", "").Count)
			f.requireNothing()
		})
	}
}

// freeBeside returns an even port outside the range that was free a moment ago, and so was the one above it.
func freeBeside(t *testing.T, f *fixture) uint16 {
	t.Helper()
	for range 50 {
		r := actortest.FreeRange(t, 40)
		if port := r.High - 3; !f.config.RTPProxy.PortRange.Contains(port) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func TestPassiveSendersAnswerWithTheirPortAndWait(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	for _, overUDP := range []bool{true, false} {
		port := f.begin(store.Sender{Stream: testKey("x"), SSRC: "78", Mode: store.SendPassive, UDP: overUDP, PayloadType: 8, CloseDelay: actortest.Wait})
		require.Equal(t, 1, f.leased())
		require.False(t, f.list()[0].Peer.IsValid())
		if overUDP {
			conn, peer := udpPeer(t)
			_, err := conn.WriteToUDPAddrPort([]byte("here"), netip.AddrPortFrom(loopback, port))
			require.NoError(t, err)
			actortest.Eventually(t, func() bool { return f.list()[0].Peer == peer }, "the peer is known")
			s.say()
			p, from := hear(t, conn)
			require.EqualValues(t, 78, p.SSRC)
			require.Equal(t, port, from.Port())
		} else {
			conn, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
			require.NoError(t, err)
			actortest.Eventually(t, func() bool { return f.list()[0].Peer.IsValid() }, "the peer is known")
			s.say()
			require.EqualValues(t, 78, hearFramed(t, conn).SSRC)
			require.NoError(t, conn.CloseWrite())
			require.Equal(t, codeEOF, f.hooked()["err"])
			require.NoError(t, conn.Close())
			f.requireNothing()
			continue
		}
		require.Equal(t, 1, f.stop("x", "78").Count)
		f.requireNothing()
	}
}

func TestAPassiveSenderWhosePeerDoesNotComeTellsSo(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("x")
	for overUDP, msg := range map[bool]string{true: "wait udp packet timeout", false: "wait tcp connection timeout"} {
		f.begin(store.Sender{Stream: testKey("x"), SSRC: "78", Mode: store.SendPassive, UDP: overUDP, CloseDelay: time.Millisecond})
		body := f.hooked()
		require.Equal(t, codeTimeout, body["err"])
		require.True(t, strings.HasPrefix(body["msg"].(string), msg), body["msg"])
		require.Equal(t, "78", body["ssrc"])
		require.Equal(t, "x", body["stream"])
		require.Equal(t, "live", body["app"])
		require.Equal(t, media.DefaultVHost, body["vhost"])
		require.Equal(t, "a=b", body["params"])
		require.Equal(t, 4, body["originType"])
		require.Equal(t, "pull", body["originTypeStr"])
		require.Equal(t, "rtsp://192.0.2.1/x", body["originUrl"])
		f.requireNothing()
	}
}

func TestStartsThatFailLeaveNothing(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.opts.Lookup = func(context.Context, string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "nobody.invalid", IsNotFound: true}
		}
	})
	f.publish("x")
	l, closedPeer := tcpPeer(t)
	require.NoError(t, l.Close())
	_, peer := udpPeer(t)
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer other.Close() //nolint:errcheck // nothing is written
	held := other.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	low := f.config.RTPProxy.PortRange.Low
	for _, tc := range []struct {
		name  string
		def   store.Sender
		check func(err error) bool
	}{
		{"no source", to(peer, true, func(d *store.Sender) { d.Stream = testKey("y") }), is(ErrNoSource)},
		{"refused", to(closedPeer, false, nil), is(syscall.ECONNREFUSED)},
		{"no such name", to(peer, true, func(d *store.Sender) { d.Host = "nobody.invalid" }), says("nobody.invalid")},
		{"no video track to pack", to(peer, true, func(d *store.Sender) { d.Form = 7 }), says("form 7")},
		{"odd port of the range", to(peer, true, func(d *store.Sender) { d.LocalPort = low + 1 }), says("odd")},
		{"port of another program", to(peer, true, func(d *store.Sender) { d.LocalPort = held }), is(syscall.EADDRINUSE)},
		{"last port", to(peer, true, func(d *store.Sender) { d.LocalPort = 65535 }), says("RTCP")},
		{"bad ssrc", to(peer, true, func(d *store.Sender) { d.SSRC = "x" }), says("ssrc")},
		{"no target", store.Sender{Stream: testKey("x"), SSRC: "1", Mode: store.SendTalk, Receive: "y"}, is(ErrNoTarget)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			started := f.startSender(tc.def)
			require.Error(t, started.Err)
			require.True(t, tc.check(started.Err), started.Err.Error())
			f.requireNothing()
			require.Empty(t, f.viewers("x"))
		})
	}
	f.hook.ExpectNothing(t)
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func says(text string) func(error) bool {
	return func(err error) bool { return strings.Contains(err.Error(), text) }
}

func TestAFullPoolIsToldInFull(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("x")
	_, peer := udpPeer(t)
	def := to(peer, true, func(d *store.Sender) { d.Several = true })
	var err error
	for i := range 19 {
		def.Port = peer.Port() - uint16(i) - 1
		err = f.startSender(def).Err
	}
	var refused *portpool.RefusedError
	require.ErrorAs(t, err, &refused)
	require.True(t, strings.HasPrefix(err.Error(), "none reserved port in pool"), err.Error())
	require.Equal(t, 18, f.stop("x", "77").Count)
	f.requireNothing()
}

func TestTheSameSSRCReplacesUnlessSeveralAreAllowed(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	first, firstPeer := udpPeer(t)
	second, secondPeer := udpPeer(t)
	port := f.begin(to(firstPeer, true, nil))
	s.say()
	hear(t, first)
	// The later one may have the port of the former.
	require.Equal(t, port, f.begin(to(secondPeer, true, func(d *store.Sender) { d.LocalPort = port })))
	require.Len(t, f.list(), 1)
	require.Len(t, f.stored(), 1)
	actortest.Eventually(t, func() bool { return len(f.viewers("x")) == 1 }, "one viewer")
	s.say()
	hear(t, second)
	// One of several stays beside it, and the same one again does not.
	several := to(firstPeer, true, func(d *store.Sender) { d.Several = true })
	f.begin(several)
	f.begin(several)
	require.Len(t, f.list(), 2)
	require.Len(t, f.stored(), 2)
	require.Equal(t, 2, f.leased())
	require.Equal(t, 2, f.stop("x", "77").Count)
	f.requireNothing()
	f.hook.ExpectNothing(t)
}

func TestASenderGoesQuietlyWithItsStream(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	_, peer := udpPeer(t)
	f.begin(to(peer, true, nil))
	f.begin(store.Sender{Stream: testKey("x"), SSRC: "78", Mode: store.SendPassive, CloseDelay: actortest.Wait})
	s.end()
	f.requireNothing()
	f.hook.ExpectNothing(t)
}

func TestAConnectionThatBreaksIsTold(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("x")
	l, peer := tcpPeer(t)
	f.begin(to(peer, false, nil))
	conn := accept(t, l)
	require.NoError(t, conn.SetLinger(0))
	require.NoError(t, conn.Close())
	require.Equal(t, codeReset, f.hooked()["err"])
	f.requireNothing()
}

func TestAStopWhileConnectingEndsTheStart(t *testing.T) {
	dialing := make(chan struct{}, 1)
	f := newFixture(t, func(f *fixture) {
		f.opts.Dial = func(ctx context.Context, _ netip.AddrPort, _ string) (net.Conn, error) {
			dialing <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	f.publish("x")
	starter := actortest.NewProbe(t, f.rt, "starter")
	def := to(netip.AddrPortFrom(loopback, 9), false, func(d *store.Sender) { d.LocalPort = f.config.RTPProxy.PortRange.Low })
	starter.Request(f.senders, &Start{def})
	<-dialing
	require.Equal(t, 1, f.leased())
	require.Equal(t, 1, f.stop("x", "77").Count)
	require.ErrorIs(t, actortest.Expect[*Started](t, starter).Err, ErrReplaced)
	f.requireNothing()
	// The engine's end.
	starter.Request(f.senders, &Start{def})
	<-dialing
	actortest.Stop(t, f.rt, f.senders)
	require.ErrorIs(t, actortest.Expect[*Started](t, starter).Err, ErrInterrupted)
	actortest.Eventually(t, func() bool { return f.leased() == 0 }, "the lease comes home")
}

func TestAStartThatIsOvertakenIsAnswered(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	conn, peer := udpPeer(t)
	f.begin(to(peer, true, nil))
	var starters []*actortest.Probe
	for range 5 {
		p := actortest.NewProbe(t, f.rt, "starter")
		p.Request(f.senders, &Start{to(peer, true, nil)})
		starters = append(starters, p)
	}
	worked := 0
	for _, p := range starters {
		if err := actortest.Expect[*Started](t, p).Err; err == nil {
			worked++
		} else {
			require.ErrorIs(t, err, ErrReplaced)
		}
	}
	require.Positive(t, worked)
	actortest.Eventually(t, func() bool { return len(f.list()) == 1 && f.leased() == 1 }, "one is left")
	s.say()
	hear(t, conn)
}

func TestSendersComeBackWithTheirPorts(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	conn, peer := udpPeer(t)
	l, tcp := tcpPeer(t)
	port := f.begin(to(peer, true, nil))
	passive := f.begin(store.Sender{Stream: testKey("x"), SSRC: "78", Mode: store.SendPassive, CloseDelay: actortest.Wait})
	f.begin(to(tcp, false, func(d *store.Sender) { d.SSRC = "79" }))
	_ = accept(t, l)
	before := f.stored()
	require.Len(t, before, 3)
	f.restart()
	_ = accept(t, l)
	actortest.Eventually(t, func() bool {
		list := f.list()
		return len(list) == 3 && list[0].Local.Port() == port && list[1].Local.Port() == passive && list[2].Peer == tcp
	}, "all are back")
	require.Equal(t, before, f.stored())
	s.say()
	_, from := hear(t, conn)
	require.Equal(t, port, from.Port())
	f.hook.ExpectNothing(t)
	require.Equal(t, 3, f.stop("x", "").Count)
	f.requireNothing()
}

func TestPassiveSendersThatShareAnSSRCComeBackEach(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("x")
	def := store.Sender{Stream: testKey("x"), SSRC: "78", Mode: store.SendPassive, Several: true, CloseDelay: actortest.Wait}
	one, two := f.begin(def), f.begin(def)
	def.UDP = true
	three := f.begin(def)
	before := f.stored()
	require.Len(t, before, 3)
	f.restart()
	actortest.Eventually(t, func() bool {
		var ports []uint16
		for _, s := range f.list() {
			ports = append(ports, s.Local.Port())
		}
		slices.Sort(ports)
		want := []uint16{one, two, three}
		slices.Sort(want)
		return slices.Equal(want, ports)
	}, "all are back where they were")
	require.Equal(t, before, f.stored())
	require.Equal(t, 3, f.stop("x", "78").Count)
	f.requireNothing()
}

func TestARestoredSenderWaitsForItsStreamAndPeer(t *testing.T) {
	l, peer := tcpPeer(t)
	require.NoError(t, l.Close())
	f := newFixture(t, func(f *fixture) { f.opts.Restore = []store.Sender{to(peer, false, nil)} })
	actortest.Eventually(t, func() bool { return len(f.list()) == 1 }, "it is there")
	s := f.publish("x")
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(peer))
	if err != nil {
		t.Skipf("another program has taken the port meanwhile: %v", err)
	}
	defer l.Close() //nolint:errcheck // nothing is written
	conn := accept(t, l)
	s.say()
	hearFramed(t, conn)
	f.hook.ExpectNothing(t)
}

func TestARestoredSenderDoesNotWaitForEver(t *testing.T) {
	_, peer := udpPeer(t)
	f := newFixture(t, func(f *fixture) {
		f.opts.Restore = []store.Sender{to(peer, true, nil)}
		f.opts.RestoreFor = 10 * time.Millisecond
	})
	body := f.hooked()
	require.Equal(t, codeOther, body["err"])
	require.Equal(t, ErrNoSource.Error(), body["msg"])
	f.requireNothing()
}

func TestASenderOutlivesTheFailureOfItsStream(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	conn, peer := udpPeer(t)
	f.begin(to(peer, true, nil))
	s.probe.Watch(s.attached.Stream)
	f.rt.System.Root.Send(s.attached.Stream, &actors.Crash{})
	actortest.Await[*actor.Terminated](t, s.probe)
	actortest.Eventually(t, func() bool {
		return len(ask[*streams.Streams](f, f.streams, &streams.ListStreams{}).Streams) == 0
	}, "the stream is gone")
	again := f.publish("x")
	actortest.Eventually(t, func() bool { return len(f.viewers("x")) == 1 }, "it is back")
	again.say()
	hear(t, conn)
	f.hook.ExpectNothing(t)
	require.Equal(t, 1, f.leased())
}

func TestASenderThatCrashesIsRestored(t *testing.T) {
	f := newFixture(t, nil)
	s := f.publish("x")
	conn, peer := udpPeer(t)
	port := f.begin(to(peer, true, nil))
	s.say()
	hear(t, conn)
	f.stored()
	for _, r := range f.viewers("x") {
		require.Equal(t, "rtp_sender-77", r.Info.ID)
	}
	child := childOf(f, "77")
	f.rt.System.Root.Send(child, &actors.Crash{})
	actortest.Eventually(t, func() bool { return !actortest.Alive(f.rt, child) }, "it is gone")
	actortest.Eventually(t, func() bool {
		s.say()
		list := f.list()
		return len(list) == 1 && list[0].Stats.Packets > 0 && len(f.viewers("x")) == 1 && f.leased() == 1
	}, "it is back")
	require.Equal(t, port, f.list()[0].Local.Port())
	require.Equal(t, 1, f.stop("x", "").Count)
	f.requireNothing()
}

func TestNothingBeginsWhileSendersEnds(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("x")
	_, peer := udpPeer(t)
	f.begin(to(peer, true, nil))
	starter := actortest.NewProbe(t, f.rt, "starter")
	starter.Watch(f.senders)
	starter.Request(f.store, "anything") // behind the Watch
	f.rt.System.Root.Stop(f.senders)
	for range 20 {
		starter.Request(f.senders, &Start{to(peer, true, nil)})
	}
	actortest.Eventually(t, func() bool { return !actortest.Alive(f.rt, f.senders) }, "senders ends")
	actortest.Eventually(t, func() bool { return f.leased() == 0 }, "the lease comes home")
	require.Len(t, f.stored(), 1)
}

func TestAFormWithoutAPlaceForTheCodecIsRefusedByName(t *testing.T) {
	f := newFixture(t, nil)
	vp8, err := media.NewTrack(&format.VP8{PayloadTyp: 96})
	require.NoError(t, err)
	f.publishTrack("x", vp8)
	_, peer := udpPeer(t)
	started := f.startSender(to(peer, true, func(d *store.Sender) { d.Form = 1 }))
	var codec *gb28181.CodecError
	require.ErrorAs(t, started.Err, &codec)
	require.Contains(t, started.Err.Error(), "VP8 cannot be sent as ps")
	f.requireNothing()
	f.begin(to(peer, true, nil))
}

func TestCodes(t *testing.T) {
	for want, errs := range map[int][]error{
		codeTimeout:  {gb28181.ErrNoReports, gb28181.ErrPeerStuck, context.DeadlineExceeded, syscall.ETIMEDOUT},
		codeRefused:  {syscall.ECONNREFUSED},
		codeReset:    {syscall.ECONNRESET, syscall.EPIPE},
		codeDNS:      {&net.DNSError{IsTimeout: true}},
		codeShutdown: {net.ErrClosed, gb28181.ErrPathClosed},
		codeOther:    {ErrNoSource},
	} {
		for _, err := range errs {
			require.Equal(t, want, codeOf(errors.Join(errors.New("x"), err)), err)
		}
	}
}

func TestWhatThePeerSendsBackBecomesAStream(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.config.RTPProxy.Timeout = 300 * time.Millisecond
		f.config.General.WaitAddTrack, f.config.General.WaitTrackReady = 10*time.Millisecond, 10*time.Millisecond
	})
	f.publish("x")
	conn, peer := udpPeer(t)
	port := f.begin(to(peer, true, func(d *store.Sender) { d.Receive = "back" }))
	back := func() bool {
		return slices.ContainsFunc(ask[*streams.Streams](f, f.streams, &streams.ListStreams{}).Streams, func(s stream.Snapshot) bool {
			return s.Key == testKey("back") && s.Online && s.Stats.Packets > 0 && s.Origin.Type == stream.OriginRTPPush && s.Origin.Peer == peer
		})
	}
	seq := uint16(0)
	answer := func() {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: seq, SSRC: 5, Timestamp: 160 * uint32(seq)}, Payload: make([]byte, 160)}
		seq++
		b, err := p.Marshal()
		require.NoError(t, err)
		_, err = conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(loopback, port))
		require.NoError(t, err)
	}
	for range 2 {
		actortest.Eventually(t, func() bool { answer(); return back() }, "what comes back is published")
		actortest.Eventually(t, func() bool { return !back() }, "and goes when nothing comes")
	}
	actortest.Eventually(t, func() bool { answer(); return back() }, "published again")
	require.Equal(t, 1, f.stop("x", "").Count)
	actortest.Eventually(t, func() bool { return !back() }, "it ends with its sender")
	f.requireNothing()
}

func TestTalksToADeviceOnTheSocketOnWhichItPushes(t *testing.T) {
	pair, theirs := receivingPair(t)
	source := gb28181.NewSource(gb28181.SourceOptions{})
	device, err := gb28181.NewReceiver(gb28181.ReceiverOptions{Source: source, RTP: pair})
	require.NoError(t, err)
	t.Cleanup(func() { device.Close(); source.Close() })
	f := newFixture(t, func(f *fixture) {
		f.opts.Receivers = actortest.SpawnFunc(t, f.rt, "receivers", func(ctx actor.Context) {
			if m, ok := ctx.Message().(*receiver.GetTalk); ok {
				if m.Stream != testKey("device") {
					ctx.Respond(&receiver.Talk{Err: receiver.ErrNotFound})
					return
				}
				path, err := device.ReturnPath()
				ctx.Respond(&receiver.Talk{Path: path, Err: err})
			}
		})
	})
	s := f.publish("x")
	talk := store.Sender{Stream: testKey("x"), SSRC: "80", Mode: store.SendTalk, Receive: "device", PayloadType: 8}
	require.ErrorIs(t, f.startSender(talk).Err, gb28181.ErrNoDevice)
	push := func() {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 8, SSRC: 6}, Payload: make([]byte, 160)}
		b, err := p.Marshal()
		require.NoError(t, err)
		_, err = theirs.WriteToUDPAddrPort(b, pair.LocalAddr().(*net.UDPAddr).AddrPort())
		require.NoError(t, err)
	}
	actortest.Eventually(t, func() bool { push(); peer, _ := source.Peer(); return peer.IsValid() }, "the device is heard")
	port := f.begin(talk)
	require.EqualValues(t, pair.LocalAddr().(*net.UDPAddr).Port, port)
	s.say()
	p, from := hear(t, theirs)
	require.EqualValues(t, 80, p.SSRC)
	require.Equal(t, port, from.Port())
	require.Equal(t, "rtp_talk", f.viewers("x")[0].Info.Protocol)
	require.Zero(t, f.leased())
	require.Equal(t, 1, f.stop("x", "80").Count)

	f.begin(talk)
	device.Close()
	source.Close()
	body := f.hooked()
	require.Equal(t, codeShutdown, body["err"])
	f.requireNothing()
	talk.Receive = "nobody"
	require.ErrorIs(t, f.startSender(talk).Err, ErrNoTarget)
}

// receivingPair returns a receiver's socket and a device's.
func receivingPair(t *testing.T) (ours, theirs *net.UDPConn) {
	t.Helper()
	ours, _ = udpPeer(t)
	theirs, _ = udpPeer(t)
	return ours, theirs
}
