package portpool_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/netio/ports"
)

// restarted ends the pool and begins another of the same range and memory, as a full restart does.
func (f *fixture) restarted(opts portpool.Options) {
	f.t.Helper()
	f.send(&portpool.StopGranting{})
	actortest.Stop(f.t, f.rt, f.pool)
	opts.Config, opts.Range = f.cfg, f.rng
	f.pool = actortest.Spawn(f.t, f.rt, portpool.Props(f.rt, opts), "portpool")
}

// A device that never stops sending to the port that it had before a full restart is not heard by anybody else, however little is left; when it stops, the port comes back.
func TestADeviceThatKeepsSendingAcrossARestartIsNeverHeardByTheNextOwner(t *testing.T) {
	for name, how := range map[string]func(*fixture, *portpool.PairLeased){
		"leased at the restart":   func(*fixture, *portpool.PairLeased) {},
		"draining at the restart": func(f *fixture, l *portpool.PairLeased) { f.release(l) },
	} {
		t.Run(name, func(t *testing.T) {
			actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
				memory := &portpool.Memory{}
				f := newFixture(t, rt, 3, func(o *portpool.Options) {
					cfg := *o.Config
					cfg.Pool.DrainMax = 10 * time.Second
					o.Config, o.Memory = &cfg, memory
				})
				old := f.lease(1, "door")
				device, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(testAddr(), old.Port)))
				require.NoError(t, err)
				defer func() { require.NoError(t, device.Close()) }()
				// An error is the kernel's word that nobody listens just now.
				speak := func() { _, _ = device.Write([]byte("rtp of the door")) }
				how(f, old)
				speak()
				f.restarted(portpool.Options{Memory: memory})
				// Strangers ask for whatever they can get, for two minutes.
				id := uint64(100)
				for range 240 {
					speak()
					id++
					f.send(f.ask(id, "stranger"))
					switch m := f.probe.Next(t).Message.(type) {
					case *portpool.PairLeased:
						require.NotEqual(t, old.Port, m.Port)
						f.release(m)
					case *portpool.LeaseRefused:
						require.Equal(t, portpool.ReasonExhausted, m.Err.Reason)
					}
					wanted := f.ask(id+1000, "stranger")
					wanted.Port = old.Port
					require.Contains(t, []portpool.Reason{portpool.ReasonCooling, portpool.ReasonDraining}, f.refused(wanted).Reason)
					pass(500 * time.Millisecond)
				}
				require.Positive(t, f.state().Late)
				require.Equal(t, 1, f.logged("keeps sending to a released port"))
				pass(time.Minute) // it is silent now
				require.Equal(t, ports.Counts{ports.Free: 3}, f.counts())
			})
		})
	}
}

func TestAStreamThatComesBackGetsItsPortAndNobodyElseDoes(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		var port uint16
		f := newFixture(t, rt, 2, func(o *portpool.Options) {
			o.Range = freeRange(t, 2)
			port = o.Range.Low
			o.Reserve = []portpool.Reservation{
				{Stream: key("mine"), Purpose: portpool.PurposeRTSPPull, Port: port},
				{Stream: key("other"), Purpose: portpool.PurposeRTSPPull, Port: port},
				{Stream: key("gone"), Purpose: portpool.PurposeRTSPPull, Port: 9},
				{Stream: key("late"), Purpose: portpool.PurposeRTSPPull, Port: port + 2},
			}
		})
		require.Equal(t, ports.Counts{ports.Cooling: 2}, f.counts())
		require.Equal(t, portpool.ReasonExhausted, f.refused(f.ask(1, "stranger")).Reason)
		other := f.ask(2, "other")
		other.Port = port
		require.Equal(t, portpool.ReasonCooling, f.refused(other).Reason, "the first one has it")
		mine := f.ask(3, "mine")
		mine.Port = port
		require.Equal(t, port, f.granted(mine).Port)
		pass(20 * time.Second)
		require.Equal(t, port+2, f.lease(4, "stranger").Port, "its stream did not come in time")
	})
}

func TestWhatEndedLongAgoIsNotRemembered(t *testing.T) {
	memory := &portpool.Memory{}
	f := newFixture(t, actortest.Runtime(), 4, func(o *portpool.Options) {
		o.Range = freeRange(t, 4)
		low := o.Range.Low
		memory.Leave([]portpool.Remembered{
			{Port: low, Ended: time.Now().Add(-time.Hour)},
			{Port: low + 2, Ended: time.Now()},
			{Port: low + 2, Ended: time.Now()},
			{Port: low + 1, Ended: time.Now()},
			{Port: 1, Ended: time.Now()},
			{Port: low + 6, Ended: time.Now().Add(time.Hour)},
		})
		o.Memory = memory
	})
	require.Equal(t, ports.Counts{ports.Free: 2, ports.Cooling: 2}, f.counts())
	require.Empty(t, memory.Copy())
	actortest.Stop(t, f.rt, f.pool)
	require.Len(t, memory.Copy(), 2, "the next one must know")
}
