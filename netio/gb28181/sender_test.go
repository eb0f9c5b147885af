package gb28181

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/hub"
)

func g711() *format.G711 { return &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1} }

// nalUnits takes single NAL unit packets, STAP-A and FU-A apart.
func nalUnits(t testing.TB, pkts []*rtp.Packet) (units [][]byte) {
	t.Helper()
	d := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	dec, err := d.CreateDecoder()
	require.NoError(t, err)
	for _, p := range pkts {
		got, err := dec.Decode(p)
		if err == nil {
			units = append(units, got...)
		}
	}
	return units
}

// frameOf reads packets up to a marker.
func frameOf(next func() *rtp.Packet) (pkts []*rtp.Packet) {
	for {
		p := next()
		pkts = append(pkts, p)
		if p.Marker {
			return pkts
		}
	}
}

func TestElementaryStreamLeavesOverUDPAsItIs(t *testing.T) {
	for _, plain := range []bool{false, true} {
		s := newTestStream(t, true, nil, hub.Options{})
		s.picture(true, 5000)
		s.picture(false, 100_000)
		peer := peerPair(t)
		o := newOutcome()
		sender, err := SendUDP(o.watch(SenderOptions{
			Form: s.use(FormOptions{Kind: FormElementary}), SSRC: 0x1234, PayloadType: 98, DisableGSO: plain, Rand: func() uint32 { return 65530 },
		}), udpPair(t), localOf(peer.RTP))
		require.NoError(t, err)
		t.Cleanup(sender.Close)
		require.Equal(t, localOf(peer.RTP), o.peer(t))
		seq := uint16(65530)
		next := func() *rtp.Packet {
			p := nextDatagram(t, peer.RTP)
			require.EqualValues(t, 0x1234, p.SSRC)
			require.EqualValues(t, 98, p.PayloadType)
			require.Equal(t, seq, p.SequenceNumber)
			seq++
			return p
		}
		var first uint32
		for i := range 40 {
			if i >= 2 {
				s.picture(i%10 == 0, 3000*(i%5)+20)
			}
			pkts := frameOf(next)
			if i == 0 {
				first = pkts[0].Timestamp
			}
			require.Equal(t, first+uint32(3600*i), pkts[0].Timestamp) //nolint:gosec // small
			require.Equal(t, s.pictures[i], nalUnits(t, pkts), i)
		}
		require.Eventually(t, func() bool { return sender.Stats().Packets == uint64(seq-65530) }, patience, time.Millisecond)
		require.Zero(t, sender.Stats().Dropped)
		require.Zero(t, sender.Viewer().Lag)
		s.hub.Close()
		require.ErrorIs(t, o.ended(t), ErrSourceEnded)
		sender.Close()
	}
}

func TestParameterSetsOfTheDescriptionAreSentWhereTheStreamHasNone(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	s.accessUnit([][]byte{s.unit(0x65, 500)})
	peer := peerPair(t)
	sender, err := SendUDP(SenderOptions{Form: s.use(FormOptions{})}, udpPair(t), localOf(peer.RTP))
	require.NoError(t, err)
	t.Cleanup(sender.Close)
	next := func() *rtp.Packet { return nextDatagram(t, peer.RTP) }
	pkts := frameOf(next)
	require.Len(t, pkts, 3)
	require.Equal(t, [][]byte{testSPS, testPPS, s.pictures[0][0]}, nalUnits(t, pkts))
	require.Equal(t, pkts[0].Timestamp, pkts[2].Timestamp)
	s.picture(false, 100)
	require.Len(t, frameOf(next), 1)
}

func TestSendersBeginAtTheKeyFrame(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	form := s.use(FormOptions{})
	for i := range 25 {
		s.picture(i%10 == 0, 2000)
	}
	for range 3 {
		ours, theirs := tcpPair(t)
		sender := SendTCP(SenderOptions{Form: form, SSRC: 7, PayloadType: 96}, ours)
		next := func() *rtp.Packet { return nextFramed(t, theirs) }
		for i := 20; i < 25; i++ {
			require.Equal(t, s.pictures[i], nalUnits(t, frameOf(next)), i)
		}
		sender.Close()
		sender.Close()
		_, err := theirs.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestG711IsPackedAnew(t *testing.T) {
	s := newTestStream(t, true, g711(), hub.Options{})
	s.samples(160) // a reader begins with the newest packet
	form := s.use(FormOptions{OnlyAudio: true, G711Packet: 60 * time.Millisecond})
	peer := peerPair(t)
	sender, err := SendUDP(SenderOptions{Form: form, PayloadType: 8}, udpPair(t), localOf(peer.RTP))
	require.NoError(t, err)
	t.Cleanup(sender.Close)
	for range 30 {
		s.samples(160)
		s.now = s.now.Add(20 * time.Millisecond)
	}
	sent := bytes.Join(s.sound, nil)
	var ts uint32
	for at := -1; at < 4320; {
		p := nextDatagram(t, peer.RTP)
		require.Len(t, p.Payload, 480)
		if at < 0 {
			at = bytes.Index(sent, p.Payload) // a sender of sound begins with what is newest
			require.Zero(t, at%480)
		} else {
			require.Equal(t, ts+480, p.Timestamp)
			at += 480
		}
		require.Equal(t, sent[at:at+480], p.Payload)
		ts = p.Timestamp
	}
}

func TestPassiveUDPSendsToWhoComesFirst(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	s.picture(true, 500)
	sockets, peer, stranger := udpPair(t), peerPair(t), udpPair(t)
	o := newOutcome()
	sender, err := SendUDP(o.watch(SenderOptions{Form: s.use(FormOptions{}), PeerTimeout: patience}), sockets, netip.AddrPort{})
	require.NoError(t, err)
	t.Cleanup(sender.Close)
	require.Zero(t, sender.Peer())
	_, err = peer.RTP.WriteToUDPAddrPort([]byte("hello"), localOf(sockets.RTP))
	require.NoError(t, err)
	require.Equal(t, localOf(peer.RTP), o.peer(t))
	_, err = stranger.RTP.WriteToUDPAddrPort([]byte("hello"), localOf(sockets.RTP))
	require.NoError(t, err)
	require.Equal(t, s.pictures[0], nalUnits(t, frameOf(func() *rtp.Packet { return nextDatagram(t, peer.RTP) })))
	require.Equal(t, localOf(peer.RTP), sender.Peer())
}

func TestPassiveSendersDoNotWaitForEver(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	form := s.use(FormOptions{})
	o := newOutcome()
	sockets := udpPair(t)
	sender, err := SendUDP(o.watch(SenderOptions{Form: form, PeerTimeout: time.Millisecond}), sockets, netip.AddrPort{})
	require.NoError(t, err)
	require.ErrorIs(t, o.ended(t), ErrNoUDPPeer)
	sender.Close()

	l := listen(t)
	tcp := AcceptTCP(o.watch(SenderOptions{Form: form, PeerTimeout: time.Millisecond}), l)
	require.ErrorIs(t, o.ended(t), ErrNoTCPPeer)
	tcp.Close()

	// Closed while they wait.
	sender, err = SendUDP(o.watch(SenderOptions{Form: form, PeerTimeout: patience}), sockets, netip.AddrPort{})
	require.NoError(t, err)
	sender.Close()
	AcceptTCP(o.watch(SenderOptions{Form: form, PeerTimeout: patience}), l).Close()
	require.Empty(t, o.done)
	require.Empty(t, o.met)
}

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestPassiveTCPTakesOneConnection(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	s.picture(true, 50_000)
	l := listen(t)
	o := newOutcome()
	sender := AcceptTCP(o.watch(SenderOptions{Form: s.use(FormOptions{}), PeerTimeout: patience}), l)
	t.Cleanup(sender.Close)
	conn, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // nothing is written
	o.peer(t)
	late, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	defer late.Close() //nolint:errcheck // nothing is written
	require.NoError(t, late.SetReadDeadline(time.Now().Add(patience)))
	_, err = late.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, s.pictures[0], nalUnits(t, frameOf(func() *rtp.Packet { return nextFramed(t, conn) })))
	require.NoError(t, conn.Close())
	require.ErrorIs(t, o.ended(t), io.EOF)
	sender.Close()
	// The listener is its owner's.
	require.NoError(t, l.SetDeadline(time.Now().Add(patience)))
	again, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	defer again.Close() //nolint:errcheck // nothing is written
	got, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, got.Close())
}

func TestAPeerThatResetsEndsTheSender(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	ours, theirs := tcpPair(t)
	o := newOutcome()
	sender := SendTCP(o.watch(SenderOptions{Form: s.use(FormOptions{})}), ours)
	t.Cleanup(sender.Close)
	o.peer(t)
	require.NoError(t, theirs.SetLinger(0))
	require.NoError(t, theirs.Close())
	require.ErrorIs(t, o.ended(t), syscall.ECONNRESET)
}

func TestASlowPeerGoesOnAtALaterKeyFrame(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{GOPBytes: 64 << 20, RingBytes: 128 << 20, RingPackets: 1 << 20})
	form := s.use(FormOptions{GOPBytes: 1 << 20})
	ours, theirs := tcpPair(t)
	require.NoError(t, ours.SetWriteBuffer(32<<10))
	require.NoError(t, theirs.SetReadBuffer(32<<10))
	sender := SendTCP(SenderOptions{Form: form, WriteTimeout: patience}, ours)
	t.Cleanup(sender.Close)
	const pictures = 600
	for i := range pictures {
		s.picture(i%20 == 0, 40_000)
	}
	require.Eventually(t, func() bool { return form.ring.last() == pictures }, patience, time.Millisecond)
	var seen []int
	byPicture := map[string]int{}
	for i, units := range s.pictures {
		byPicture[string(units[len(units)-1])] = i
	}
	seq := -1
	for len(seen) == 0 || seen[len(seen)-1] != pictures-1 {
		pkts := frameOf(func() *rtp.Packet {
			p := nextFramed(t, theirs)
			if seq >= 0 {
				require.Equal(t, uint16(seq+1), p.SequenceNumber) //nolint:gosec // it wraps
			}
			seq = int(p.SequenceNumber)
			return p
		})
		units := nalUnits(t, pkts)
		i, known := byPicture[string(units[len(units)-1])]
		require.True(t, known)
		if n := len(seen); n > 0 && seen[n-1] != i-1 {
			require.Zero(t, i%20, "after a jump comes a key frame")
		}
		seen = append(seen, i)
	}
	stats := sender.Stats()
	require.Positive(t, stats.Jumps)
	require.Positive(t, stats.Dropped)
	require.Less(t, len(seen), pictures)
}

func TestAPeerThatTakesNothingEndsTheSender(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{GOPBytes: 64 << 20, RingBytes: 128 << 20, RingPackets: 1 << 20})
	ours, theirs := tcpPair(t)
	require.NoError(t, ours.SetWriteBuffer(32<<10))
	require.NoError(t, theirs.SetReadBuffer(32<<10))
	o := newOutcome()
	sender := SendTCP(o.watch(SenderOptions{Form: s.use(FormOptions{}), WriteTimeout: 20 * time.Millisecond}), ours)
	t.Cleanup(sender.Close)
	for range 200 {
		s.picture(true, 100_000)
	}
	require.ErrorIs(t, o.ended(t), ErrPeerStuck)
}

func TestReportsGoOutAndAreHeard(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	s.picture(true, 500)
	sockets, peer := udpPair(t), peerPair(t)
	o := newOutcome()
	sender, err := SendUDP(o.watch(SenderOptions{Form: s.use(FormOptions{}), SSRC: 77, ReportEvery: 2 * time.Millisecond, NeedReports: true, ReportTimeout: patience}), sockets, localOf(peer.RTP))
	require.NoError(t, err)
	t.Cleanup(sender.Close)
	buf := make([]byte, 2048)
	require.NoError(t, peer.RTCP.SetReadDeadline(time.Now().Add(patience)))
	n, from, err := peer.RTCP.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.Equal(t, localOf(sockets.RTCP), from)
	pkts, err := rtcp.Unmarshal(buf[:n])
	require.NoError(t, err)
	sr := pkts[0].(*rtcp.SenderReport)
	require.EqualValues(t, 77, sr.SSRC)
	require.EqualValues(t, 1, sr.PacketCount)
	require.Greater(t, sr.OctetCount, uint32(500))
	require.InDelta(t, float64(time.Now().Unix()), float64(int64(sr.NTPTime>>32)+ntpEpoch), 120)
	require.Equal(t, rtcp.SDESCNAME, pkts[1].(*rtcp.SourceDescription).Chunks[0].Items[0].Type)
	rr, err := (&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: 77}}}).Marshal()
	require.NoError(t, err)
	require.Zero(t, sender.Stats().LastReport)
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err == nil { // a system with more than one loopback address
		_, err = stranger.WriteToUDPAddrPort(rr, from)
		require.NoError(t, err)
		require.NoError(t, stranger.Close())
	}
	_, err = peer.RTCP.WriteToUDPAddrPort([]byte("noise"), from)
	require.NoError(t, err)
	_, err = peer.RTCP.WriteToUDPAddrPort(rr, from)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !sender.Stats().LastReport.IsZero() }, patience, time.Millisecond)
}

func TestWithoutReportsASenderThatNeedsThemEnds(t *testing.T) {
	s := newTestStream(t, true, nil, hub.Options{})
	s.picture(true, 500)
	peer := peerPair(t)
	o := newOutcome()
	sender, err := SendUDP(o.watch(SenderOptions{Form: s.use(FormOptions{}), ReportEvery: time.Millisecond, NeedReports: true, ReportTimeout: 5 * time.Millisecond}), udpPair(t), localOf(peer.RTP))
	require.NoError(t, err)
	t.Cleanup(sender.Close)
	require.ErrorIs(t, o.ended(t), ErrNoReports)
}

// A cascade with a way back: what the peer sends on the same socket or connection comes out of a source.
func TestWhatComesBackIsTakenIn(t *testing.T) {
	there, back := newTestStream(t, true, nil, hub.Options{}), newTestStream(t, true, nil, hub.Options{})
	there.picture(true, 500)
	form, answer := there.use(FormOptions{}), back.use(FormOptions{Kind: FormPS})
	ready := make(chan []*media.Track, 4)
	newSource := func() *Source {
		source := NewSource(SourceOptions{Ready: func(tracks []*media.Track) { ready <- tracks }, ReportInterval: 50 * time.Millisecond})
		t.Cleanup(source.Close)
		return source
	}
	comes := func(source *Source, peer netip.AddrPort, overTCP bool) {
		t.Helper()
		for open := true; open; {
			back.picture(true, 3000)
			select {
			case tracks := <-ready:
				require.Equal(t, media.CodecH264, tracks[0].Codec)
				open = false
			case <-time.After(10 * time.Millisecond):
			}
		}
		from, tcp := source.Peer()
		require.Equal(t, peer, from)
		require.Equal(t, overTCP, tcp)
	}
	ours, theirs := udpPair(t), peerPair(t)
	source := newSource()
	sender, err := SendUDP(SenderOptions{Form: form, Source: source}, ours, localOf(theirs.RTP))
	require.NoError(t, err)
	reply, err := SendUDP(SenderOptions{Form: answer, SSRC: 8}, theirs, localOf(ours.RTP))
	require.NoError(t, err)
	comes(source, localOf(theirs.RTP), false)
	require.Eventually(t, func() bool { return !reply.Stats().LastReport.IsZero() }, patience, time.Millisecond, "reports go back")
	reply.Close()
	sender.Close()

	a, b := tcpPair(t)
	source = newSource()
	sender = SendTCP(SenderOptions{Form: form, Source: source}, a)
	reply = SendTCP(SenderOptions{Form: answer, SSRC: 8}, b)
	comes(source, addrOf(b.LocalAddr()), true)
	reply.Close()
	sender.Close()
}

func TestFormsAreSharedAndGoWithTheirLastUser(t *testing.T) {
	s := newTestStream(t, true, g711(), hub.Options{})
	forms := &Forms{}
	one, err := forms.Use(s.hub, FormOptions{})
	require.NoError(t, err)
	two, err := forms.Use(s.hub, FormOptions{PayloadBytes: 1400})
	require.NoError(t, err)
	require.Same(t, one, two)
	other, err := forms.Use(s.hub, FormOptions{OnlyAudio: true})
	require.NoError(t, err)
	require.NotSame(t, one, other)
	require.Equal(t, []int{1}, other.Tracks())
	require.Equal(t, 2, forms.Len())
	one.Release()
	other.Release()
	require.Equal(t, 1, forms.Len())
	two.Release()
	require.Zero(t, forms.Len())
	_, err = forms.Use(s.hub, FormOptions{Kind: 5})
	require.Error(t, err)
	silent := newTestStream(t, true, nil, hub.Options{})
	_, err = forms.Use(silent.hub, FormOptions{OnlyAudio: true})
	require.ErrorIs(t, err, ErrNoTrack)
	require.Zero(t, forms.Len())
}
