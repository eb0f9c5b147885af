package supervisor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"berth/actors/actortest"
)

// peer is a client that is not ours, playing or publishing one stream, and coming back whenever it is thrown out.
type peer struct {
	name    string
	over    gortsplib.Protocol
	publish bool
	url     string
	packets atomic.Uint64 // heard, or sent
}

// crowd is a number of peers of one server.
type crowd struct {
	s      *server
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	peers  []*peer
}

// crowdPairs is what a crowd costs beside the proxies: the UDP publisher's only track, the pairs that the UDP viewers of the pull (two tracks) and of the publisher (one) share.
const crowdPairs = 1 + 2 + 1

// gather starts a publisher over UDP and one over TCP, and viewers over both of a publisher and of the pull "one".
func gather(s *server) *crowd {
	c := &crowd{s: s}
	c.ctx, c.cancel = context.WithCancel(s.t.Context())
	base := fmt.Sprintf("rtsp://%s/live/", s.ready.RTSP)
	udp, tcp := gortsplib.ProtocolUDP, gortsplib.ProtocolTCP
	c.peers = []*peer{
		{name: "publisher over UDP", over: udp, publish: true, url: base + "pushed-udp"},
		{name: "publisher over TCP", over: tcp, publish: true, url: base + "pushed-tcp"},
		{name: "viewer over UDP", over: udp, url: base + "one"},
		{name: "second viewer over UDP", over: udp, url: base + "one"},
		{name: "viewer over TCP", over: tcp, url: base + "one"},
		{name: "viewer over UDP of a publisher", over: udp, url: base + "pushed-tcp"},
		{name: "viewer over TCP of a publisher", over: tcp, url: base + "pushed-udp"},
	}
	for _, p := range c.peers {
		c.wg.Go(func() { c.persist(p) })
	}
	s.t.Cleanup(c.leave)
	return c
}

// leave ends all peers and waits for them.
func (c *crowd) leave() {
	c.cancel()
	c.wg.Wait()
}

// flows waits until packets have come and gone for every peer since the call.
func (c *crowd) flows() {
	c.s.t.Helper()
	var wanted []uint64
	for _, p := range c.peers {
		wanted = append(wanted, p.packets.Load()+3)
	}
	for i, p := range c.peers {
		c.s.eventually("media flows for the "+p.name, func() bool { return p.packets.Load() >= wanted[i] })
	}
}

func (c *crowd) persist(p *peer) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-pause.C:
		}
		c.once(p) // whatever went wrong, it tries again: flows tells whether it ever succeeds
		pause.Reset(50 * time.Millisecond)
	}
}

// once is one session of a peer.
func (c *crowd) once(p *peer) {
	u, err := base.ParseURL(p.url)
	if err != nil {
		c.s.t.Error(err)
		return
	}
	client := &gortsplib.Client{
		Scheme: u.Scheme, Host: u.Host, Protocol: &p.over, ReadTimeout: actortest.Wait, WriteTimeout: actortest.Wait, InitialUDPReadTimeout: actortest.Wait,
		UDPSourcePortRange: [2]uint16{33000, 65535}, // it is this process that holds them, and the audit must not take them for the server's
	}
	if client.Start() != nil {
		return
	}
	stop := context.AfterFunc(c.ctx, client.Close)
	defer func() {
		if stop() {
			client.Close()
		} else {
			_ = client.Wait()
		}
	}()
	if p.publish {
		c.publish(p, client, u)
		return
	}
	described, _, err := client.Describe(u)
	if err != nil || client.SetupAll(described.BaseURL, described.Medias) != nil {
		return
	}
	client.OnPacketRTPAny(func(*description.Media, format.Format, *rtp.Packet) { p.packets.Add(1) })
	if _, err := client.Play(nil); err != nil {
		return
	}
	// A UDP viewer would not notice before its timeout that its session has gone without a word; the server closes the connection, which Wait returns.
	_ = client.Wait()
}

func (c *crowd) publish(p *peer, client *gortsplib.Client, u *base.URL) {
	video := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.H264{PayloadTyp: 96, PacketizationMode: 1}}}
	medias := []*description.Media{video}
	if _, err := client.Announce(u, &description.Session{Medias: medias}); err != nil {
		return
	}
	if client.SetupAll(u, medias) != nil {
		return
	}
	if _, err := client.Record(); err != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.Wait()
	}()
	frame := time.NewTicker(20 * time.Millisecond)
	defer frame.Stop()
	defer func() {
		client.Close()
		<-ended
	}()
	for seq := uint16(0); ; seq++ {
		select {
		case <-ended:
			return
		case <-frame.C:
		}
		err := client.WritePacketRTP(video, &rtp.Packet{
			Header:  rtp.Header{Version: 2, PayloadType: 96, Marker: true, SequenceNumber: seq, Timestamp: uint32(seq) * 1800, SSRC: 7},
			Payload: []byte{0x65, 0x88, 0x84, 0, 1, 2, 3},
		})
		if err != nil {
			return
		}
		p.packets.Add(1)
	}
}
