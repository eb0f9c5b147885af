package portpool

import (
	"fmt"
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
		d.left = 0
		return fmt.Errorf("%w: %d of %d descriptors (RLIMIT_NOFILE) are open, and the last %d are kept for connections, the API and the store", udp.ErrProcess, open, limit, reserve)
	}
	d.left, d.counted = limit-reserve-open-n, now
	return nil
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
