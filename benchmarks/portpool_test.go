package benchmarks

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/config"
	"berth/media"
	"berth/netio/ports"
	"berth/netio/udp"
)

// askersTried are how many actors (or goroutines, in baselines) lease and release at the same time.
var askersTried = []int{1, 8, 64, 512}

var loopback = netip.MustParseAddr("127.0.0.1")

// quiet is the actor system of the benchmarks: no log, no debug fields made.
var quiet = sync.OnceValue(func() *actors.Runtime { return actors.NewRuntime(zerolog.Nop().Level(zerolog.InfoLevel)) })

// poolRange is as large as the descriptors of this process allow, 5,000 pairs at most. It keeps off the default range, which a server on this machine may be using.
func poolRange(b *testing.B, bound bool) ports.Range {
	b.Helper()
	pairs := 5000
	if bound {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			b.Fatal(err)
		}
		pairs = min(pairs, int(limit.Cur/2)-600) //nolint:gosec // a limit of descriptors
		if pairs < 1000 {
			b.Skipf("only %d open files are allowed: raise the limit (ulimit -n)", limit.Cur)
		}
	}
	return ports.Range{Low: 10000, High: uint16(10000 + 2*pairs - 1)} //nolint:gosec // below 20000
}

// poolConfig keeps no released pair from the next lease, so that the rate is not bounded by the size of the range.
func poolConfig() *config.Config {
	c := config.Default()
	c.Pool.Bind = loopback
	c.Pool.LeaseTimeout = 10 * time.Second
	c.Pool.DrainIdle, c.Pool.CoolDown = 0, 0
	return c
}

// nothing stands in for the binding of sockets.
func nothing(netip.Addr, uint16, ports.Sockets) (portpool.Bound, error) { return portpool.Bound{}, nil }

// begin tells an asker to lease and release so many times.
type begin struct{ times int }

// asker leases, and at each grant releases and leases again. It uses its two requests over and over: when an answer has come, the pool is done
// with what was sent before it.
type asker struct {
	pool    *actor.PID
	lease   portpool.LeasePair
	release portpool.ReleaseLease
	left    int
	sent    time.Time
	times   histogram
	hold    bool // it never releases
	ended   *sync.WaitGroup
	fail    func(args ...any)
}

func (a *asker) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.lease.Owner, a.release.Owner = ctx.Self(), ctx.Self()
		a.lease.Purpose, a.lease.Sockets = portpool.PurposeRTSPPull, ports.UDPPair
	case *begin:
		a.left = m.times
		a.next(ctx)
	case *portpool.PairLeased:
		if !a.sent.IsZero() {
			a.times.add(time.Since(a.sent))
		}
		if !a.hold {
			a.release.ID, a.release.Epoch = m.ID, m.Epoch
			ctx.Send(a.pool, &a.release)
		}
		a.next(ctx)
	case *portpool.LeaseRefused:
		a.fail(m.Err)
		a.left = 0
		a.next(ctx)
	}
}

func (a *asker) next(ctx actor.Context) {
	if a.left == 0 {
		a.ended.Done()
		return
	}
	a.left--
	a.lease.ID++
	// One time in four is enough, and costs the rate little.
	if a.sent = (time.Time{}); a.left%4 == 0 {
		a.sent = time.Now()
	}
	ctx.Send(a.pool, &a.lease)
}

// bench is a pool of which nine tenths are leased, and its askers.
type bench struct {
	rt     *actors.Runtime
	pool   *actor.PID
	askers []*asker
	pids   []*actor.PID
	ended  sync.WaitGroup
}

func newBench(b *testing.B, opts portpool.Options, askers int, change func(i int, a *asker)) *bench {
	b.Helper()
	w := &bench{rt: quiet()}
	w.pool = actortest.Spawn(b, w.rt, portpool.Props(w.rt, opts), "portpool")
	holder := &asker{pool: w.pool, hold: true, ended: &w.ended, fail: b.Error}
	holder.lease.Stream = media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: "holder"}
	// Nine tenths are leased when every asker has its pair.
	w.run([]*actor.PID{w.spawn(b, holder)}, opts.Range.Pairs()*9/10-askers)
	for i := range askers {
		a := &asker{pool: w.pool, ended: &w.ended, fail: b.Error}
		a.lease.Stream = media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: fmt.Sprint(i)}
		if change != nil {
			change(i, a)
		}
		w.askers = append(w.askers, a)
		w.pids = append(w.pids, w.spawn(b, a))
	}
	return w
}

func (w *bench) spawn(b *testing.B, a *asker) *actor.PID {
	return actortest.Spawn(b, w.rt, w.rt.Props(func() actor.Actor { return a }), "asker")
}

// run lets each asker lease so many times and waits for all.
func (w *bench) run(pids []*actor.PID, each int) {
	w.ended.Add(len(pids))
	for _, pid := range pids {
		w.rt.System.Root.Send(pid, &begin{each})
	}
	w.ended.Wait()
}

// measure runs b.N leases and releases and reports rate and times.
func (w *bench) measure(b *testing.B) {
	b.Helper()
	each := (b.N + len(w.pids) - 1) / len(w.pids)
	w.run(w.pids, min(each, 100))
	for _, a := range w.askers {
		a.times = histogram{}
	}
	b.ReportAllocs()
	b.ResetTimer()
	used := cpuTime(b)
	w.run(w.pids, each)
	b.StopTimer()
	// On a machine that does other work too, this says more than the rate.
	b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/1e3/float64(each*len(w.pids)), "cpu-µs/op")
	b.ReportMetric(float64(each*len(w.pids))/b.Elapsed().Seconds(), "pairs/s")
	var all histogram
	for _, a := range w.askers {
		all.merge(&a.times)
	}
	all.report(b)
}

// cpuTime is the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func eachNumberOfAskers(b *testing.B, f func(b *testing.B, askers int)) {
	for _, n := range askersTried {
		b.Run(fmt.Sprintf("askers=%d", n), func(b *testing.B) { f(b, n) })
	}
}

// BenchmarkPoolUnbound is the actor and its ledger alone.
func BenchmarkPoolUnbound(b *testing.B) {
	eachNumberOfAskers(b, func(b *testing.B, askers int) {
		newBench(b, portpool.Options{Config: poolConfig(), Range: poolRange(b, false), Listen: nothing}, askers, nil).measure(b)
	})
}

// BenchmarkPoolBound binds and closes two sockets a lease.
func BenchmarkPoolBound(b *testing.B) {
	eachNumberOfAskers(b, func(b *testing.B, askers int) {
		newBench(b, portpool.Options{Config: poolConfig(), Range: poolRange(b, true)}, askers, nil).measure(b)
	})
}

// BenchmarkPoolReinvite has the default times: each stream takes its own draining pair back, still bound, under new handles.
func BenchmarkPoolReinvite(b *testing.B) {
	cfg := config.Default()
	cfg.Pool.Bind = loopback
	eachNumberOfAskers(b, func(b *testing.B, askers int) {
		if askers*10 > poolRange(b, true).Pairs() {
			b.Skip("more askers than free pairs")
		}
		newBench(b, portpool.Options{Config: cfg, Range: poolRange(b, true)}, askers, nil).measure(b)
	})
}

// BenchmarkBaselineMutex is the same ledger behind a mutex, used by goroutines.
func BenchmarkBaselineMutex(b *testing.B) {
	eachNumberOfAskers(b, func(b *testing.B, askers int) {
		l, now := filledLedger(b, askers), time.Now()
		var mu sync.Mutex
		var all sync.WaitGroup
		each := (b.N + askers - 1) / askers
		b.ReportAllocs()
		b.ResetTimer()
		for range askers {
			all.Go(func() {
				owner := ports.NewOwner()
				for range each {
					mu.Lock()
					s := leaseOne(l, owner, now)
					mu.Unlock()
					mu.Lock()
					l.Release(s, false, now)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(each*askers)/b.Elapsed().Seconds(), "pairs/s")
	})
}

// BenchmarkBaselineBind binds and closes a pair, with no pool at all.
func BenchmarkBaselineBind(b *testing.B) {
	var times histogram
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		rtp, rtcp, err := udp.BindPair(loopback, uint16(10000+2*(i%5000)), udp.Options{}) //nolint:gosec // below 20000
		times.add(time.Since(began))
		if err == nil { // somebody else's port costs less
			_, _ = rtp.Close(), rtcp.Close()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
	times.report(b)
}

// leaseByFuture and its answer are for the baseline with futures.
type leaseByFuture struct{ owner *ports.Owner }

type leasedByFuture struct{ slot ports.Slot }

type releaseByFuture struct{ slot ports.Slot }

// BenchmarkBaselineFuture is the same ledger in an actor that is asked by request futures, which lose a lease when the asker's time is over.
func BenchmarkBaselineFuture(b *testing.B) {
	rt := quiet()
	eachNumberOfAskers(b, func(b *testing.B, askers int) {
		l, now := filledLedger(b, askers), time.Now()
		pid := actortest.SpawnFunc(b, rt, "ledger", func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *leaseByFuture:
				ctx.Respond(&leasedByFuture{leaseOne(l, m.owner, now)})
			case *releaseByFuture:
				l.Release(m.slot, false, now)
			}
		})
		var all sync.WaitGroup
		each := (b.N + askers - 1) / askers
		b.ReportAllocs()
		b.ResetTimer()
		for range askers {
			all.Go(func() {
				owner := ports.NewOwner()
				for range each {
					answer, err := rt.System.Root.RequestFuture(pid, &leaseByFuture{owner}, time.Minute).Result()
					if err != nil {
						b.Error(err)
						return
					}
					rt.System.Root.Send(pid, &releaseByFuture{answer.(*leasedByFuture).slot})
				}
			})
		}
		all.Wait()
		b.StopTimer()
		b.ReportMetric(float64(each*askers)/b.Elapsed().Seconds(), "pairs/s")
	})
}

// filledLedger is a ledger of which nine tenths are leased.
func filledLedger(b *testing.B, askers int) *ports.Ledger {
	rng := poolRange(b, false)
	l := ports.NewLedger(ports.Options{Range: rng, Now: time.Now()})
	// With futures an asker may hold a second one, whose release is under way.
	for range min(rng.Pairs()*9/10-askers, rng.Pairs()-2*askers) {
		leaseOne(l, ports.NewOwner(), time.Now())
	}
	return l
}

func leaseOne(l *ports.Ledger, owner *ports.Owner, now time.Time) ports.Slot {
	s, ok := l.Candidate(now)
	if !ok {
		panic("nothing is free")
	}
	id := uint64(s) //nolint:gosec // positive
	l.Lease(s, ports.Holder{Owner: owner, ID: id, Tenant: ports.Tenant{Stream: media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: "x"}}}, now)
	return s
}
