package benchmarks

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/media"
	"berth/netio/ports"
	"berth/netio/udp"
)

// pacedOwners are how many actors hold the leases of a paced load.
const pacedOwners = 64

// pacedRates are the loads tried, in leases (and releases) a second.
var pacedRates = []int{2500, 5000, 10000, 15000, 20000}

// pacedOwner gives back each pair as soon as it has it, and notes how long the pool took.
type pacedOwner struct {
	pool    *actor.PID
	sent    []time.Time // by lease ID, over and over; written by the sender before the lease is sent
	times   histogram
	refused int
	done    *sync.WaitGroup
}

func (o *pacedOwner) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *portpool.PairLeased:
		o.times.add(time.Since(o.sent[m.ID%uint64(len(o.sent))]))
		ctx.Send(o.pool, &portpool.ReleaseLease{Owner: ctx.Self(), ID: m.ID, Epoch: m.Epoch})
		o.done.Done()
	case *portpool.LeaseRefused:
		o.refused++ // the machine stood still, and more is asked for at once than is free
		o.done.Done()
	}
}

// pace calls ask so many times at a fixed rate, and returns the largest number of calls that were due at once: a pause of the sender is made up for, so that the load comes in bursts, as it does from a busy machine.
func pace(times, rate int, ask func(i int)) (burst int) {
	began := time.Now()
	for made := 0; made < times; {
		due := min(times, int(time.Since(began)*time.Duration(rate)/time.Second)+1)
		burst = max(burst, due-made)
		for ; made < due; made++ {
			ask(made)
		}
		<-time.After(time.Second / time.Duration(rate))
	}
	return burst
}

func eachRate(b *testing.B, f func(b *testing.B, rate int) (all histogram, burst int)) {
	for _, rate := range pacedRates {
		b.Run(fmt.Sprintf("rate=%d", rate), func(b *testing.B) {
			all, burst := f(b, rate)
			b.ReportMetric(float64(burst), "largest-burst")
			b.ReportMetric(float64(all.quantile(0.999))/1e3, "p99.9-µs")
			all.report(b)
		})
	}
}

// BenchmarkPoolPaced asks for bound pairs at a fixed rate, whether or not the answers come: what a lease takes under a load, without the wait behind other askers that a closed loop makes.
func BenchmarkPoolPaced(b *testing.B) {
	eachRate(b, func(b *testing.B, rate int) (all histogram, burst int) {
		w := newBench(b, portpool.Options{Config: poolConfig(), Range: poolRange(b, true)}, 0, nil)
		var done sync.WaitGroup
		owners := make([]*pacedOwner, pacedOwners)
		pids := make([]*actor.PID, pacedOwners)
		for i := range owners {
			o := &pacedOwner{pool: w.pool, sent: make([]time.Time, 1<<12), done: &done}
			owners[i] = o
			pids[i] = actortest.Spawn(b, w.rt, w.rt.Props(func() actor.Actor { return o }), "owner")
		}
		stream := media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: "paced"}
		b.ResetTimer()
		used := cpuTime(b)
		done.Add(b.N)
		burst = pace(b.N, rate, func(i int) {
			o, id := owners[i%pacedOwners], uint64(i/pacedOwners) //nolint:gosec // positive
			m := &portpool.LeasePair{Owner: pids[i%pacedOwners], ID: id, Stream: stream, Purpose: portpool.PurposeRTSPPull, Sockets: ports.UDPPair}
			o.sent[id%uint64(len(o.sent))] = time.Now()
			w.rt.System.Root.Send(w.pool, m)
		})
		done.Wait()
		b.StopTimer()
		refused := 0
		for _, o := range owners {
			all.merge(&o.times)
			refused += o.refused
		}
		b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
		b.ReportMetric(float64(refused), "refused")
		return all, burst
	})
}

// BenchmarkBaselinePaced is the same load on one goroutine that binds and closes, with no pool: the kernel's part, and the machine's.
func BenchmarkBaselinePaced(b *testing.B) {
	eachRate(b, func(b *testing.B, rate int) (all histogram, burst int) {
		asked := make(chan time.Time, 1<<14) // as good as unbounded: a second of load
		var binder sync.WaitGroup
		binder.Go(func() {
			for i := 0; ; i++ {
				sent, more := <-asked
				if !more {
					return
				}
				rtp, rtcp, err := udp.BindPair(loopback, uint16(10000+2*(i%5000)), udp.Options{}) //nolint:gosec // below 20000
				all.add(time.Since(sent))
				if err == nil { // somebody else's port costs less
					_, _ = rtp.Close(), rtcp.Close()
				}
			}
		})
		b.ResetTimer()
		used := cpuTime(b)
		burst = pace(b.N, rate, func(int) { asked <- time.Now() })
		close(asked)
		binder.Wait()
		b.StopTimer()
		b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
		return all, burst
	})
}
