package receiver

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/hook"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/netio/ports"
)

func TestMain(m *testing.M) { actortest.Main(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

// rig is the part of an engine that receivers need, made of the real actors; the hook alone is a probe.
type rig struct {
	t         *testing.T
	rt        *actors.Runtime
	config    *config.Config
	pool      *actor.PID
	streams   *actor.PID
	store     *actor.PID
	hook      *actortest.Probe
	receivers *actor.PID
	restore   []store.Receiver
	shared    *Shared
}

// newRig starts everything; change may set what it is made of before that.
func newRig(t *testing.T, pairs int, change func(r *rig)) *rig {
	t.Helper()
	actortest.CheckLeaks(t)
	r := &rig{t: t, rt: actortest.Runtime(), config: config.Default()}
	c := r.config
	c.General.ListenIP = loopback
	c.General.WaitAddTrack, c.General.WaitAudioData = 20*time.Millisecond, 20*time.Millisecond
	c.Pool.LeaseTimeout = 10 * time.Second
	c.Pool.DrainIdle, c.Pool.DrainMax, c.Pool.CoolDown = 10*time.Millisecond, 20*time.Millisecond, 0
	c.RTPProxy.PortRange = config.PortRange(actortest.FreeRange(t, pairs))
	c.RTPProxy.Timeout = time.Hour
	if change != nil {
		change(r)
	}
	if r.store == nil {
		r.store = actortest.Spawn(t, r.rt, store.Props(store.Options{Runtime: r.rt, Dir: t.TempDir()}), "store")
	}
	r.hook = actortest.NewProbe(t, r.rt, "hook")
	r.pool = actortest.Spawn(t, r.rt, portpool.Props(r.rt, portpool.Options{Config: c}), "portpool")
	r.streams = actortest.Spawn(t, r.rt, streams.Props(streams.Options{Runtime: r.rt, Config: c, Pool: r.pool}), "streams")
	r.start()
	return r
}

// start starts receivers, again if it has been stopped.
func (r *rig) start() {
	r.receivers = actortest.Spawn(r.t, r.rt, Props(Options{
		Runtime: r.rt, Config: r.config, Store: r.store, Streams: r.streams, Pool: r.pool, Hook: r.hook.PID, Restore: r.restore, Shared: r.shared,
	}), "receivers")
}

func ask[T any](r *rig, to *actor.PID, msg any) T {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), actortest.Wait)
	defer cancel()
	answer, err := actors.Ask[T](ctx, r.rt.System, to, msg)
	require.NoError(r.t, err)
	return answer
}

func testKey(name string) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: DefaultApp, Stream: name}
}

// open opens a receiver; change may complete its definition.
func (r *rig) open(name string, change func(d *store.Receiver)) *Opened {
	r.t.Helper()
	d := store.Receiver{Key: testKey(name)}
	if change != nil {
		change(&d)
	}
	return ask[*Opened](r, r.receivers, &Open{d})
}

// mustOpen requires a port.
func (r *rig) mustOpen(name string, change func(d *store.Receiver)) uint16 {
	r.t.Helper()
	opened := r.open(name, change)
	require.NoError(r.t, opened.Err)
	require.NotZero(r.t, opened.Port)
	return opened.Port
}

func (r *rig) close(name string) bool {
	r.t.Helper()
	return ask[*Closed](r, r.receivers, &Close{testKey(name)}).Found
}

func (r *rig) list() []Snapshot {
	r.t.Helper()
	return ask[*Receivers](r, r.receivers, &List{}).Receivers
}

// one returns the picture of the receiver, or device, with that name.
func (r *rig) one(name string) (Snapshot, bool) {
	r.t.Helper()
	if all := ask[*Receivers](r, r.receivers, &List{Key: testKey(name)}).Receivers; len(all) == 1 {
		return all[0], true
	}
	return Snapshot{}, false
}

// await waits until the picture of a receiver satisfies ready.
func (r *rig) await(name, what string, ready func(s Snapshot) bool) Snapshot {
	r.t.Helper()
	var last Snapshot
	defer func() {
		if r.t.Failed() {
			r.t.Logf("last picture of %s: %+v", name, last)
		}
	}()
	actortest.Eventually(r.t, func() bool {
		snap, ok := r.one(name)
		last = snap
		return ok && ready(snap)
	}, "%s: %s", name, what)
	return last
}

func (r *rig) stored() map[string]store.Receiver {
	r.t.Helper()
	out := map[string]store.Receiver{}
	for _, d := range ask[*store.Receivers](r, r.store, &store.ListReceivers{}).Receivers {
		out[d.Key.Stream] = d
	}
	return out
}

func (r *rig) leased() int {
	r.t.Helper()
	return ask[*portpool.Pool](r, r.pool, &portpool.GetPool{}).Counts[ports.Leased]
}

// stream returns the picture of a published stream.
func (r *rig) stream(name string) (stream.Snapshot, bool) {
	r.t.Helper()
	k := testKey(name)
	found := ask[*streams.Streams](r, r.streams, &streams.ListStreams{Filter: streams.Filter{VHost: k.VHost, App: k.App, Stream: k.Stream}}).Streams
	if len(found) != 1 {
		return stream.Snapshot{}, false
	}
	return found[0], true
}

// requireNothing requires that nothing is left of any receiver, in the ledger, in the kernel and in the store.
func (r *rig) requireNothing() {
	r.t.Helper()
	require.Empty(r.t, r.list())
	require.Empty(r.t, r.stored())
	actortest.Eventually(r.t, func() bool { return r.leased() == 0 }, "leases come home")
	actortest.Eventually(r.t, func() bool {
		return len(ask[*streams.Streams](r, r.streams, &streams.ListStreams{}).Streams) == 0
	}, "the streams end")
	r.audit()
}

// audit requires that ledger, owners and kernel agree. The kernel's table is not read at one moment: while other programs close thousands of sockets, rows of ours are passed over.
func (r *rig) audit() {
	r.t.Helper()
	actortest.Eventually(r.t, func() bool {
		audited := ask[*portpool.Audited](r, r.pool, &portpool.Audit{})
		require.NoError(r.t, audited.Err)
		for _, d := range audited.Drift {
			require.Equal(r.t, portpool.DriftNotBound, d.Kind, "%+v", d)
		}
		return len(audited.Drift) == 0
	}, "ledger, owners and kernel agree")
}

// find returns the running actors whose id contains part.
func (r *rig) find(part string) []*actor.PID {
	r.t.Helper()
	var found []*actor.PID
	for _, bucket := range r.rt.System.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range bucket.Keys() {
			if strings.Contains(id, part) {
				found = append(found, actor.NewPID(r.rt.System.Address(), id))
			}
		}
	}
	return found
}

// child returns the actor of a receiver, nil while there is none.
func (r *rig) child(name string) *actor.PID {
	r.t.Helper()
	if found := r.find(r.receivers.Id + "/" + childPrefix(testKey(name))); len(found) > 0 {
		return found[0]
	}
	return nil
}

// speaker is a device that sends G.711 as bare RTP: 20 ms of sound a packet.
type speaker struct {
	t    *testing.T
	conn *net.UDPConn
	ssrc uint32
	seq  uint16
	time uint32
}

func newSpeaker(t *testing.T, ssrc uint32) *speaker {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &speaker{t: t, conn: conn, ssrc: ssrc}
}

func (s *speaker) addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// packet makes the next packet.
func (s *speaker) packet() []byte {
	pkt := make([]byte, 12+160)
	pkt[0], pkt[1] = 0x80, 8
	binary.BigEndian.PutUint16(pkt[2:], s.seq)
	binary.BigEndian.PutUint32(pkt[4:], s.time)
	binary.BigEndian.PutUint32(pkt[8:], s.ssrc)
	for i := range 160 {
		pkt[12+i] = byte(s.seq) + byte(i)
	}
	s.seq++
	s.time += 160
	return pkt
}

// say sends packets to a port. A port that is closed is nothing to a device.
func (s *speaker) say(port uint16, packets int) {
	for range packets {
		_, _ = s.conn.WriteToUDPAddrPort(s.packet(), netip.AddrPortFrom(loopback, port))
	}
}

// chat sends a packet every few milliseconds until the test, or stop, ends it.
func (s *speaker) chat(port uint16) (stop func()) {
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.say(port, 1)
			}
		}
	}()
	stop = func() { end(); <-done }
	s.t.Cleanup(stop)
	return stop
}

// stream sends a packet every few milliseconds over a connection, behind two bytes of length (RFC 4571), until the test, or stop, ends it.
func (s *speaker) stream(conn net.Conn) (stop func()) {
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				pkt := s.packet()
				if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(pkt))), pkt...)); err != nil { //nolint:gosec // small
					return
				}
			}
		}
	}()
	stop = func() { end(); _ = conn.SetWriteDeadline(time.Unix(1, 0)); <-done }
	s.t.Cleanup(stop)
	return stop
}

func mediaKey(app, name string) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: app, Stream: name}
}

// newRigTracks are the tracks of a publisher of G.711.
func newRigTracks(t *testing.T) []*media.Track {
	t.Helper()
	track, err := media.NewTrack(&format.G711{PayloadTyp: 8, MULaw: false, SampleRate: 8000, ChannelCount: 1})
	require.NoError(t, err)
	return []*media.Track{track}
}

func published(s Snapshot) bool { return s.Stream.Valid() && s.Stats.Frames > 0 }

// notified waits for the hook of a silent receiver.
func (r *rig) notified() *hook.Notify {
	r.t.Helper()
	return actortest.Expect[*hook.Notify](r.t, r.hook)
}
