package rtspd

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/media/hub"
	"berth/netio/fanout"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// fakeStreams stands in for the registry and for every stream at once, so that a session's side can be tested alone: it keeps books of what sessions
// ask and give back. The whole of it is tested in the daemon's tests.
type fakeStreams struct {
	mu      sync.Mutex
	streams map[media.StreamKey]*fakeStream
	waiting map[media.StreamKey][]*actor.PID
	opened  []*net.UDPConn
	refuse  error // of OpenUDP

	readersAdded, readersRemoved, detached int
	attached                               []stream.Attach
	reasons                                []actors.CloseReason
}

type fakeStream struct {
	key       media.StreamKey
	hub       *hub.Hub
	publisher *actor.PID
	readers   map[string]*actor.PID
	pairs     map[int]*fanout.UDPPair
	count     func() hub.ReaderStats
}

// expired ends a wait for a stream.
type expired struct {
	key    media.StreamKey
	reader *actor.PID
}

// endStream makes the fake end a stream.
type endStream struct{ key media.StreamKey }

func (f *fakeStreams) Receive(ctx actor.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m := ctx.Message().(type) {
	case *actor.Stopping:
		for _, s := range f.streams {
			s.hub.Close()
		}
		for _, conn := range f.opened {
			_ = conn.Close()
		}
	case *streams.Publish:
		f.publish(ctx, m)
	case *streams.Subscribe:
		if s := f.streams[m.Key]; s != nil {
			ctx.Send(m.Reader, &streams.Subscribed{Key: m.Key, Stream: ctx.Self(), Tracks: s.hub.Tracks()})
			return
		}
		f.waiting[m.Key] = append(f.waiting[m.Key], m.Reader)
		root, self := ctx.ActorSystem().Root, ctx.Self()
		time.AfterFunc(m.Wait, func() { root.Send(self, &expired{m.Key, m.Reader}) })
	case *expired:
		for i, pid := range f.waiting[m.key] {
			if pid.Equal(m.reader) {
				f.waiting[m.key] = append(f.waiting[m.key][:i], f.waiting[m.key][i+1:]...)
				ctx.Send(m.reader, &streams.Refused{Key: m.key, Err: streams.ErrNotFound})
				return
			}
		}
	case *stream.AddReader:
		for _, s := range f.streams { // tests use one stream at a time
			s.readers[m.Reader.Id], s.count = m.Reader, m.Count
			f.readersAdded++
			ctx.Send(m.Reader, &stream.ReaderAdded{Key: s.key, Stream: ctx.Self(), Hub: s.hub})
		}
	case *stream.RemoveReader:
		f.readersRemoved++
		for _, s := range f.streams {
			delete(s.readers, m.Reader.Id)
		}
	case *stream.OpenUDP:
		f.openUDP(ctx, m)
	case *stream.Detach:
		f.detached++
		f.reasons = append(f.reasons, m.Reason)
		for key, s := range f.streams {
			if m.Publisher.Equal(s.publisher) {
				f.end(ctx, key)
			}
		}
	case *endStream:
		f.end(ctx, m.key)
	}
}

func (f *fakeStreams) publish(ctx actor.Context, m *streams.Publish) {
	f.attached = append(f.attached, m.Attach)
	if f.streams[m.Key] != nil {
		ctx.Send(m.Attach.Publisher, &streams.Refused{Key: m.Key, Err: streams.ErrExists})
		return
	}
	s := &fakeStream{
		key: m.Key, hub: hub.New(m.Attach.Tracks, hub.Options{}), publisher: m.Attach.Publisher,
		readers: map[string]*actor.PID{}, pairs: map[int]*fanout.UDPPair{},
	}
	f.streams[m.Key] = s
	writer, tracks, err := s.hub.Attach(m.Attach.Tracks)
	if err != nil {
		ctx.Send(m.Attach.Publisher, &streams.Refused{Key: m.Key, Err: err})
		return
	}
	ctx.Send(m.Attach.Publisher, &stream.Attached{Key: m.Key, Stream: ctx.Self(), Writer: writer, Tracks: tracks})
	for _, pid := range f.waiting[m.Key] {
		ctx.Send(pid, &streams.Subscribed{Key: m.Key, Stream: ctx.Self(), Tracks: s.hub.Tracks()})
	}
	delete(f.waiting, m.Key)
}

func (f *fakeStreams) openUDP(ctx actor.Context, m *stream.OpenUDP) {
	if f.refuse != nil {
		ctx.Send(m.Reader, &stream.UDPOpened{Track: m.Track, Err: f.refuse})
		return
	}
	for _, s := range f.streams {
		if s.pairs[m.Track] == nil {
			rtp, rtcp, port := bindPair()
			f.opened = append(f.opened, rtp, rtcp)
			s.pairs[m.Track] = &fanout.UDPPair{RTP: rtp, RTCP: rtcp, Port: port}
		}
		ctx.Send(m.Reader, &stream.UDPOpened{Track: m.Track, Port: s.pairs[m.Track].Port, Pair: s.pairs[m.Track], Heard: &stream.Heard{}})
	}
}

func (f *fakeStreams) end(ctx actor.Context, key media.StreamKey) {
	s := f.streams[key]
	if s == nil {
		return
	}
	delete(f.streams, key)
	s.hub.Close()
	for _, pid := range s.readers {
		ctx.Send(pid, &stream.Ended{Key: key, Reason: actors.ReasonSourceLost})
	}
	ctx.Send(s.publisher, &stream.Ended{Key: key, Reason: actors.ReasonSourceLost})
}

// bindPair binds two loopback sockets on neighbouring ports, the even one first.
func bindPair() (rtp, rtcp *net.UDPConn, port uint16) {
	for {
		first, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			panic(err)
		}
		port := first.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 {
			if second, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1}); err == nil {
				return first, second, uint16(port)
			}
		}
		_ = first.Close()
	}
}

// fakePool stands in for the port pool.
type fakePool struct {
	mu       sync.Mutex
	refuse   *portpool.RefusedError
	leases   map[uint64]*portpool.PairLeased
	granted  int
	returned int
}

func (f *fakePool) Receive(ctx actor.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m := ctx.Message().(type) {
	case *actor.Stopping:
		for _, lease := range f.leases {
			_, _ = lease.RTP.Close(), lease.RTCP.Close()
		}
	case *portpool.LeasePair:
		if f.refuse != nil {
			ctx.Send(m.Owner, &portpool.LeaseRefused{ID: m.ID, Err: f.refuse})
			return
		}
		f.granted++
		rtp, rtcp, port := bindPair()
		lease := &portpool.PairLeased{ID: m.ID, Epoch: uint64(f.granted), Port: port, RTP: rtp, RTCP: rtcp}
		f.leases[lease.Epoch] = lease
		ctx.Send(m.Owner, lease)
	case *portpool.ReleaseLease:
		if lease := f.leases[m.Epoch]; lease != nil {
			f.returned++
			_, _ = lease.RTP.Close(), lease.RTCP.Close()
			delete(f.leases, m.Epoch)
		}
	}
}

// server is a running rtspd on loopback.
type fixture struct {
	t       *testing.T
	rt      *actors.Runtime
	pid     *actor.PID
	addr    string
	streams *fakeStreams
	reg     *actor.PID
	pool    *fakePool
	scheme  string
}

func newFixture(t *testing.T, adjust func(*config.Config), change ...func(*Options)) *fixture {
	t.Helper()
	actortest.CheckLeaks(t)
	cfg := config.Default()
	if adjust != nil {
		adjust(cfg)
	}
	f := &fixture{t: t, rt: actortest.Runtime(), scheme: "rtsp"}
	out := fanout.New(fanout.Options{})
	t.Cleanup(out.Close)
	f.streams = &fakeStreams{streams: map[media.StreamKey]*fakeStream{}, waiting: map[media.StreamKey][]*actor.PID{}}
	f.pool = &fakePool{leases: map[uint64]*portpool.PairLeased{}}
	f.reg = actortest.Spawn(t, f.rt, f.rt.Props(func() actor.Actor { return f.streams }), "streams")
	pool := actortest.Spawn(t, f.rt, f.rt.Props(func() actor.Actor { return f.pool }), "portpool")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.addr = listener.Addr().String()
	opts := Options{
		Runtime: f.rt, Config: cfg, Streams: f.reg, Pool: pool, Fanout: out,
		Listeners: []Listener{{Listener: listener, Protocol: "rtsp"}},
	}
	for _, c := range change {
		c(&opts)
	}
	f.pid = actortest.Spawn(t, f.rt, Props(opts), "rtspd")
	return f
}

func (f *fixture) url(path string) string { return f.scheme + "://" + f.addr + path }

func (f *fixture) list() []SessionInfo {
	f.t.Helper()
	s, err := actors.Ask[*Sessions](f.t.Context(), f.rt.System, f.pid, &ListSessions{})
	require.NoError(f.t, err)
	return s.Sessions
}

func (f *fixture) kick(filter Filter) int {
	f.t.Helper()
	k, err := actors.Ask[*SessionsKicked](f.t.Context(), f.rt.System, f.pid, &KickSessions{Filter: filter})
	require.NoError(f.t, err)
	return k.Hit
}

func (f *fixture) eventually(cond func() bool, what string) {
	f.t.Helper()
	actortest.Eventually(f.t, cond, what)
}

// books reads the fake registry's counters.
func (f *fixture) books(read func(*fakeStreams) bool) func() bool {
	return func() bool {
		f.streams.mu.Lock()
		defer f.streams.mu.Unlock()
		return read(f.streams)
	}
}

// testDescription is what test publishers send: H.264 and G.711.
func testDescription() *description.Session {
	return &description.Session{Medias: []*description.Media{
		{Type: description.MediaTypeVideo, Formats: []format.Format{&format.H264{PayloadTyp: 96, PacketizationMode: 1}}},
		{Type: description.MediaTypeAudio, Formats: []format.Format{&format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1}}},
	}}
}

func protocol(p gortsplib.Protocol) *gortsplib.Protocol { return &p }

// publisher is gortsplib's client publishing until the test ends or stop is called.
type publisher struct {
	client *gortsplib.Client
	quit   chan struct{}
	done   chan struct{}
	once   sync.Once
}

func (p *publisher) stop() {
	p.once.Do(func() { close(p.quit) })
	<-p.done
	p.client.Close()
}

func (f *fixture) publish(path string, client *gortsplib.Client) *publisher {
	f.t.Helper()
	desc := testDescription()
	require.NoError(f.t, client.StartRecording(f.url(path), desc))
	p := &publisher{client: client, quit: make(chan struct{}), done: make(chan struct{})}
	go p.run(desc)
	f.t.Cleanup(p.stop)
	return p
}

// run sends a picture and a packet of sound every 10 ms; every tenth picture is a key frame.
func (p *publisher) run(desc *description.Session) {
	defer close(p.done)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for i := uint32(0); ; i++ {
		select {
		case <-p.quit:
			return
		case <-ticker.C:
		}
		nal := []byte{0x61, 1, 2, 3}
		if i%10 == 0 {
			nal[0] = 0x65
		}
		video := &rtp.Packet{Header: rtp.Header{
			Version: 2, Marker: true, PayloadType: 96, SequenceNumber: uint16(65500 + i), Timestamp: i * 900, SSRC: 1,
		}, Payload: nal}
		audio := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 0, SequenceNumber: uint16(i), Timestamp: i * 80, SSRC: 2}, Payload: make([]byte, 80)}
		if p.client.WritePacketRTP(desc.Medias[0], video) != nil || p.client.WritePacketRTP(desc.Medias[1], audio) != nil {
			return
		}
	}
}

// received counts what a player gets, by media.
type received struct {
	mu    sync.Mutex
	count map[description.MediaType]int
	gaps  int
	back  int // sequence numbers that went back or were repeated
	last  map[description.MediaType]uint16
	first []byte // of the first video packet
}

func (r *received) take(m *description.Media, pkt *rtp.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count[m.Type] > 0 && pkt.SequenceNumber != r.last[m.Type]+1 {
		r.gaps++
		if int16(pkt.SequenceNumber-r.last[m.Type]) <= 0 {
			r.back++
		}
	}
	if m.Type == description.MediaTypeVideo && r.first == nil {
		r.first = append([]byte{}, pkt.Payload...)
	}
	r.count[m.Type]++
	r.last[m.Type] = pkt.SequenceNumber
}

func (r *received) has(video, audio int) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.count[description.MediaTypeVideo] >= video && r.count[description.MediaTypeAudio] >= audio
	}
}

// play is gortsplib's client playing everything until the test ends.
func (f *fixture) play(path string, client *gortsplib.Client) *received {
	f.t.Helper()
	u, err := base.ParseURL(f.url(path))
	require.NoError(f.t, err)
	client.Scheme, client.Host = u.Scheme, u.Host
	require.NoError(f.t, client.Start())
	f.t.Cleanup(client.Close)
	desc, _, err := client.Describe(u)
	require.NoError(f.t, err)
	require.NoError(f.t, client.SetupAll(desc.BaseURL, desc.Medias))
	r := &received{count: map[description.MediaType]int{}, last: map[description.MediaType]uint16{}}
	client.OnPacketRTPAny(func(m *description.Media, _ format.Format, pkt *rtp.Packet) { r.take(m, pkt) })
	_, err = client.Play(nil)
	require.NoError(f.t, err)
	return r
}

var loopback = netip.MustParseAddr("127.0.0.1")
