package portpool

import (
	"errors"
	"fmt"
	"net/netip"

	"berth/netio/ports"
)

// maxBooks bounds for how many local addresses the pool keeps account, at some 2 MB each for the default range.
const maxBooks = 32

// book is the account of one local address: its ledger, and what the pool knows of each slot beyond it.
//
// Two books never have addresses that overlap, so that what one says of a port is all there is to say of it. A wildcard has a book only when it is the pool's own address, and
// then every address of its family is in that book too ([pool.bookOf]); other addresses are single ones, which overlap with nothing but themselves.
type book struct {
	bind    netip.Addr // invalid in the book of the pool's own address, whose leases may be on any address that it covers
	ledger  *ports.Ledger
	slots   []slot
	level   AlarmLevel
	history *ports.History
}

// errManyAddresses says that the pool does not begin another account.
var errManyAddresses = errors.New("it has leases on as many local addresses as it keeps account of")

// home is the book of the pool's own address.
func (p *pool) home() *book { return p.books[0] }

// bookOf returns the book that has the leases on a local address. It makes one for an address that has none.
func (p *pool) bookOf(addr netip.Addr) (*book, error) {
	addr = plain(addr)
	if covers(p.bind, addr) || addr.IsUnspecified() {
		return p.home(), nil
	}
	for _, k := range p.books[1:] {
		if k.bind == addr {
			return k, nil
		}
	}
	if len(p.books) == maxBooks && !p.dropIdle() {
		return nil, fmt.Errorf("%w (%d)", errManyAddresses, maxBooks)
	}
	k := p.newBook(addr)
	p.books = append(p.books, k)
	return k, nil
}

// localAddr returns the address that m is bound to. A wildcard that the pool's own address does not cover asks for no address in particular: the operator has chosen one.
func (p *pool) localAddr(m *LeasePair) netip.Addr {
	if !m.Bind.IsValid() || m.Bind.IsUnspecified() && !covers(p.bind, m.Bind) {
		return p.bind
	}
	return m.Bind
}

// ownAddr returns the address that a book's leases are bound to when nothing else is asked for.
func (p *pool) ownAddr(k *book) netip.Addr {
	if k.bind.IsValid() {
		return k.bind
	}
	return p.bind
}

// plain returns the address as the books know it: a mapped one as IPv4, and without its zone, which may be written in two ways.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// covers reports whether whoever binds own can be in the way of somebody who binds addr, both as package udp binds them: the same address, or a wildcard and one of its families.
func covers(own, addr netip.Addr) bool {
	own, addr = plain(own), plain(addr)
	switch own {
	case netip.Addr{}, netip.IPv6Unspecified():
		return true // bound for both families
	case netip.IPv4Unspecified():
		return !addr.IsValid() || addr.Is4()
	}
	return !addr.IsValid() || own == addr
}

// newBook makes an account in which every slot is free that is not excluded.
func (p *pool) newBook(addr netip.Addr) *book {
	now := p.opts.Now()
	k := &book{
		bind: addr, level: LevelNormal, history: ports.NewHistory(now),
		ledger: ports.NewLedger(ports.Options{Range: p.opts.Range, Shuffle: p.opts.Shuffle, Timing: p.timing, Now: now, Excluded: p.excluded}),
	}
	k.slots = make([]slot, k.ledger.Len())
	return k
}

// idle reports whether the book says nothing that a new one would not say.
func (k *book) idle() bool {
	c := k.ledger.Counts()
	return c[ports.Leased]+c[ports.Draining]+c[ports.Cooling]+c[ports.Foreign] == 0
}

// dropIdle forgets a book that has become idle; false when every one is needed.
func (p *pool) dropIdle() bool {
	for _, k := range p.books[1:] {
		if k.ledger.Advance(p.opts.Now()); k.idle() {
			p.drop(k)
			return true
		}
	}
	return false
}

// drop forgets an idle book.
func (p *pool) drop(k *book) {
	for i, each := range p.books {
		if each == k && i > 0 {
			p.books = append(p.books[:i], p.books[i+1:]...)
			break
		}
	}
	for _, o := range p.owners.byID {
		delete(o.others, k)
	}
}
