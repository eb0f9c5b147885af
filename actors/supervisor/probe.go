package supervisor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/actors/reload"
	"berth/config"
	"berth/netio/tcp"
	"berth/netio/udp"
)

// probedPairs bounds how many pairs of a new range are tried, drawn at random.
const probedPairs = 32

// prober finds out for a dry run whether what changes from running to next would work now. It leaves nothing open.
type prober struct {
	running, next *config.Config
	open          doors
	now           time.Time
	changed       map[string]bool
	found         []reload.Probe
}

func newProber(p *process, running, next *config.Config) *prober {
	b := &prober{running: running, next: next, now: time.Now(), changed: map[string]bool{}}
	if open := p.open.Load(); open != nil {
		b.open = *open
	}
	for _, change := range config.Diff(running, next) {
		b.changed[change.Key] = true
	}
	return b
}

func (b *prober) probe() []reload.Probe {
	b.doors()
	b.portRange()
	b.certificate()
	b.stateDir()
	return b.found
}

// tell enters what was found beside those of the keys that have changed.
func (b *prober) tell(trouble bool, note string, keys ...string) {
	for _, key := range keys {
		if b.changed[key] {
			b.found = append(b.found, reload.Probe{Key: key, Note: note, Trouble: trouble})
		}
	}
}

// doorKeys returns the keys that decide where a door is; the first is its port.
func doorKeys(name door) []string {
	switch name {
	case doorHTTP:
		return []string{"http.port", "general.listen_ip"}
	case doorHTTPS:
		return []string{"http.sslport", "general.listen_ip", "tls.cert_file", "tls.key_file"}
	case doorRTSP:
		return []string{"rtsp.port", "general.listen_ip"}
	case doorRTP:
		return []string{"rtp_proxy.port", "general.listen_ip"}
	default:
		return []string{"rtsp.sslport", "general.listen_ip", "tls.cert_file", "tls.key_file"}
	}
}

// doors binds the addresses that a full restart would have to open.
func (b *prober) doors() {
	want := wanted(b.next)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		addr := want[name]
		if have, ok := b.open[name]; ok && have.want == addr {
			b.tell(false, fmt.Sprintf("%s is open already for %s", addr, name), doorKeys(name)...)
			continue
		}
		o, err := b.open.open(name, addr)
		if err != nil {
			b.tell(true, err.Error()+b.heldByUs(addr), doorKeys(name)...)
			continue
		}
		o.close()
		b.tell(false, fmt.Sprintf("%s can be opened for %s", addr, name), doorKeys(name)...)
	}
}

// heldByUs says which door of ours is in the way of addr, if one is.
func (b *prober) heldByUs(addr netip.AddrPort) string {
	for _, name := range slices.Sorted(maps.Keys(b.open)) {
		at := b.open.addr(name)
		same := at.Addr() == addr.Addr() || at.Addr().IsUnspecified() || addr.Addr().IsUnspecified()
		if same && at.Port() == addr.Port() {
			return fmt.Sprintf(" (it is this server's own %s listener, which stays open until the new one is)", name)
		}
	}
	return ""
}

// portRange binds a sample of the pairs that the pool does not have yet.
func (b *prober) portRange() {
	keys := []string{"rtp_proxy.port_range", "pool.bind"}
	bind := b.next.PoolBind()
	if bind != b.running.PoolBind() {
		keys = append(keys, "general.listen_ip")
	}
	if !slices.ContainsFunc(keys, func(key string) bool { return b.changed[key] }) {
		return
	}
	sample := b.sample()
	if len(sample) == 0 {
		b.tell(false, "every pair lies in the range in force", keys...)
		return
	}
	var held []string
	for _, port := range sample {
		rtp, rtcp, err := udp.BindPair(bind, port, udp.Options{})
		switch {
		case err == nil:
			_ = rtp.Close()
			_ = rtcp.Close()
		case errors.Is(err, udp.ErrInUse):
			held = append(held, fmt.Sprint(port))
		default: // trying another port would not help
			b.tell(true, err.Error(), keys...)
			return
		}
	}
	if len(held) == 0 {
		b.tell(false, fmt.Sprintf("%d of %d new pairs tried on %s, all can be bound", len(sample), b.fresh(), bind), keys...)
		return
	}
	b.tell(len(held) == len(sample), fmt.Sprintf("%d of %d new pairs tried on %s, %d are held by others: %s",
		len(sample), b.fresh(), bind, len(held), strings.Join(held, ", ")), keys...)
}

// sample draws the even ports of pairs that only the next range has.
func (b *prober) sample() []uint16 {
	pairs := b.next.RTPProxy.PortRange.Pairs()
	first := b.next.RTPProxy.PortRange.FirstPair()
	var out []uint16
	for _, i := range rand.Perm(pairs) {
		if port := first + uint16(2*i); b.isFresh(port) { //nolint:gosec // within the range
			if out = append(out, port); len(out) == probedPairs {
				break
			}
		}
	}
	slices.Sort(out)
	return out
}

// fresh counts the pairs that sample draws from.
func (b *prober) fresh() int {
	n := 0
	first := b.next.RTPProxy.PortRange.FirstPair()
	for i := range b.next.RTPProxy.PortRange.Pairs() {
		if b.isFresh(first + uint16(2*i)) { //nolint:gosec // within the range
			n++
		}
	}
	return n
}

// isFresh reports whether a pair is not in the range in force, where the pool may hold it, and would be leased from the next one.
func (b *prober) isFresh(port uint16) bool {
	have, out := b.running.RTPProxy.PortRange, b.next.Pool.Exclude
	return !have.Contains(port) && !have.Contains(port+1) && !out.Contains(port) && !out.Contains(port+1)
}

// certificate says whose certificate is to be used. That it can be loaded was a condition of the load.
func (b *prober) certificate() {
	const cert, key = "tls.cert_file", "tls.key_file"
	if !b.next.TLS.Enabled() || !b.changed[cert] && !b.changed[key] {
		return
	}
	pair, err := tcp.LoadPair(b.next.TLS.CertFile, b.next.TLS.KeyFile)
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		b.tell(true, err.Error(), cert, key)
		return
	}
	name := leaf.Subject.CommonName
	if len(leaf.DNSNames) > 0 {
		name = strings.Join(leaf.DNSNames, ", ")
	}
	if name == "" {
		name = "no name"
	}
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case b.now.After(leaf.NotAfter):
		b.tell(true, fmt.Sprintf("the certificate for %s has expired on %s", name, day(leaf.NotAfter)), cert, key)
	case b.now.Before(leaf.NotBefore):
		b.tell(true, fmt.Sprintf("the certificate for %s is not valid before %s", name, day(leaf.NotBefore)), cert, key)
	default:
		b.tell(false, fmt.Sprintf("a certificate for %s, valid until %s", name, day(leaf.NotAfter)), cert, key)
	}
}

// stateDir looks whether the directory can be written, or made.
func (b *prober) stateDir() {
	const key = "state.dir"
	if !b.changed[key] {
		return
	}
	dir, there := b.next.State.Dir, true
	info, err := os.Stat(dir)
	for errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir {
		dir, there = filepath.Dir(dir), false
		info, err = os.Stat(dir)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	if err == nil {
		if err = unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			err = fmt.Errorf("%s cannot be written: %w", dir, err)
		}
	}
	switch {
	case err != nil:
		b.tell(true, err.Error(), key)
	case there:
		b.tell(false, "the directory is there and can be written", key)
	default:
		b.tell(false, "the directory is not there yet and can be made in "+dir, key)
	}
}
