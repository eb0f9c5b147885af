package api

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	failureWindow      = time.Minute
	maxFailureSources  = 4096 // addresses remembered at once
	failureSample      = 16   // of them that are looked at to make room for another
	failureSourceBits6 = 64   // of an IPv6 address: whoever has one address has the whole /64
)

// failures counts wrong secrets by source address. The same wrong secret sent again and again is a client that was not told of a change, not a guess,
// and counts once.
type failures struct {
	now  func() time.Time
	seed maphash.Seed

	mu      sync.Mutex
	sources map[netip.Addr]*failureSource
}

type failureSource struct {
	begin time.Time // of the window
	count int
	last  uint64 // hash of the last wrong secret
}

func newFailures(now func() time.Time) *failures {
	return &failures{now: now, seed: maphash.MakeSeed(), sources: map[netip.Addr]*failureSource{}}
}

// blocked returns how long a source must wait, 0 when it need not.
func (f *failures) blocked(addr netip.Addr, limit int) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	src, ok := f.sources[sourceOf(addr)]
	if !ok || src.count < limit {
		return 0
	}
	return max(0, failureWindow-f.now().Sub(src.begin))
}

// add counts a wrong secret and returns the source's count; first is set for the first of a window.
func (f *failures) add(addr netip.Addr, given string) (count int, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key, now, hash := sourceOf(addr), f.now(), maphash.String(f.seed, given)
	src, ok := f.sources[key]
	if !ok || now.Sub(src.begin) >= failureWindow {
		if !ok && len(f.sources) >= maxFailureSources {
			f.makeRoom(now)
		}
		f.sources[key] = &failureSource{begin: now, count: 1, last: hash}
		return 1, true
	}
	if src.last != hash {
		src.count++
		src.last = hash
		return src.count, false
	}
	return 0, false // not a new failure: nothing to log
}

// makeRoom looks at a few sources, which the map hands out in random order, and drops those whose window is over, or else the oldest of them. Looking
// at all would let whoever has many addresses make every refusal expensive.
func (f *failures) makeRoom(now time.Time) {
	var oldest netip.Addr
	var began time.Time
	looked := 0
	for addr, src := range f.sources {
		if now.Sub(src.begin) >= failureWindow {
			delete(f.sources, addr)
		} else if began.IsZero() || src.begin.Before(began) {
			oldest, began = addr, src.begin
		}
		if looked++; looked == failureSample {
			break
		}
	}
	if len(f.sources) >= maxFailureSources {
		delete(f.sources, oldest)
	}
}

func sourceOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	prefix, err := addr.Prefix(failureSourceBits6)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
