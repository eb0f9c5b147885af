package portpool

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"berth/netio/ports"
	"berth/netio/udp"
)

// countEvery is how long a count of the process's descriptors is believed. The pool keeps account of its own since the count; what others open in that time comes out of the reserve.
const countEvery = 20 * time.Millisecond

// descriptors sees to it that the pool never takes the last descriptors of the process: without them no connection is accepted, the API is deaf and the store cannot write, and nobody could say
// why. Its fields belong to Receive.
type descriptors struct {
	count   func() (open, limit uint64, err error)
	left    uint64 // what the pool may open until the next count
	counted time.Time
}

// take asks for so many descriptors. The error wraps [udp.ErrProcess].
func (d *descriptors) take(n uint64, now time.Time) error {
	if age := now.Sub(d.counted); d.left >= n && age >= 0 && age < countEvery {
		d.left -= n
		return nil
	}
	open, limit, err := d.count()
	if err != nil {
		return nil //nolint:nilerr // the bind itself will say what is wrong
	}
	reserve := ports.DescriptorReserve(limit)
	if open+reserve+n > limit {
		d.left, d.counted = 0, now
		return fmt.Errorf("%w: %d of %d descriptors (RLIMIT_NOFILE) are open, and the last %d are kept for connections, the API and the store", udp.ErrProcess, open, limit, reserve)
	}
	d.left, d.counted = limit-reserve-open-n, now
	return nil
}

// freed notes that so many descriptors of the pool were closed.
func (d *descriptors) freed(n uint64) { d.left += n }

// listenPressed is listen for a lease: when descriptors have run out, draining slots that are quiet give theirs up, as they would their ports if those had run out.
func (p *pool) listenPressed(addr netip.Addr, port uint16, want ports.Sockets, now time.Time) (Bound, error) {
	for {
		bound, err := p.listen(addr, port, want, now)
		if !errors.Is(err, udp.ErrProcess) || !p.relieve(now) {
			return bound, err
		}
	}
}

// relieve closes the draining slot that has been quiet longest; false when none has been for long enough.
func (p *pool) relieve(now time.Time) bool {
	for _, k := range p.books {
		for {
			s, ok := k.ledger.QuietDraining(now)
			if !ok {
				break
			}
			if packets, _ := p.look(k, s, now); packets > 0 {
				continue // it is not quiet after all, and none of them any more
			}
			p.endDrain(k, s, now)
			p.descriptors.freed(needs(ports.UDPPair))
			return true
		}
	}
	return false
}

// needs returns how many descriptors the sides take.
func needs(want ports.Sockets) uint64 {
	n := uint64(0)
	if want.Has(ports.UDPPair) {
		n += 2
	}
	if want.Has(ports.TCPListener) {
		n++
	}
	return n
}
