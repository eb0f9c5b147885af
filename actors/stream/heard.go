package stream

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Heard says when a UDP viewer's RTCP last came in. It is written by the stream's read loops without any message, and read from any goroutine.
type Heard struct {
	last    atomic.Int64 // Unix nanoseconds; 0 = never
	reports atomic.Uint64
}

// Last returns when the viewer was heard last; zero when it never was.
func (h *Heard) Last() time.Time {
	n := h.last.Load()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// Reports returns how many RTCP packets have come from the viewer.
func (h *Heard) Reports() uint64 { return h.reports.Load() }

func (h *Heard) note(now time.Time) {
	h.last.Store(now.UnixNano())
	h.reports.Add(1)
}

// addressBook finds the viewer that a packet on a shared pair came from. The actor writes it, the read loops read it.
type addressBook struct {
	mu     sync.RWMutex
	exact  map[netip.AddrPort]*Heard
	byHost map[netip.Addr][]*Heard // a viewer once for each of its addresses
}

func newAddressBook() *addressBook {
	return &addressBook{exact: map[netip.AddrPort]*Heard{}, byHost: map[netip.Addr][]*Heard{}}
}

// add enters a viewer's addresses; unknown (zero) ones are left out. An address that two viewers claim belongs to the later one.
func (b *addressBook) add(h *Heard, addrs ...netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range addrs {
		if !a.IsValid() || a.Port() == 0 {
			continue
		}
		a = plain(a)
		b.exact[a] = h
		b.byHost[a.Addr()] = append(b.byHost[a.Addr()], h)
	}
}

func (b *addressBook) remove(h *Heard) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a, owner := range b.exact {
		if owner == h {
			delete(b.exact, a)
		}
	}
	for host, owners := range b.byHost {
		kept := owners[:0:0]
		for _, owner := range owners {
			if owner != h {
				kept = append(kept, owner)
			}
		}
		if len(kept) == 0 {
			delete(b.byHost, host)
		} else {
			b.byHost[host] = kept
		}
	}
}

// find returns the viewer at an address. Behind a NAT the port differs from the announced one; then the host decides, if one viewer only is known there.
func (b *addressBook) find(from netip.AddrPort) *Heard {
	from = plain(from)
	b.mu.RLock()
	defer b.mu.RUnlock()
	if h := b.exact[from]; h != nil {
		return h
	}
	owners := b.byHost[from.Addr()]
	if len(owners) == 0 {
		return nil
	}
	for _, h := range owners[1:] {
		if h != owners[0] {
			return nil
		}
	}
	return owners[0]
}

// plain makes addresses of one host compare equal, whether a dual-stack socket or a header named them.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
