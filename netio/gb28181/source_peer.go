package gb28181

import "net/netip"

// lockOn notes who the device is.
func (s *Source) lockOn(from netip.AddrPort, tcp bool) {
	if from == s.peer && tcp == s.tcp {
		return
	}
	s.closePaths()
	s.peer, s.tcp = from, tcp
	s.reports.moved(from)
	s.opts.Locked(from, tcp)
}

// SetSSRC changes the SSRC that is taken; 0 = any. A device with another one is not heard any more.
func (s *Source) SetSSRC(ssrc uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lock.want = ssrc
	if ssrc != 0 && s.lock.held && s.lock.from.ssrc != ssrc {
		s.lock.release()
		s.suspect = nil
	}
}

// Release says that an address is gone: its connection has ended. If it was the device's, the next valid packet locks anew.
func (s *Source) Release(from netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock.held && s.lock.from.addr == from {
		s.lock.release()
		s.suspect = nil // of somebody else, who may not be the next
		s.closePaths()
	}
}

// Peer returns the device's address and whether it is a connection; the zero address before the first valid packet.
func (s *Source) Peer() (peer netip.AddrPort, tcp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer, s.tcp
}

// returnPath makes the way back to the device over a socket or connection.
func (s *Source) returnPath(way func(peer netip.AddrPort, tcp bool) (local netip.AddrPort, box *outbox)) (*ReturnPath, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.lock.held {
		return nil, ErrNoDevice
	}
	local, box := way(s.peer, s.tcp)
	if box == nil {
		return nil, ErrNoDevice
	}
	p := &ReturnPath{peer: s.peer, local: local, tcp: s.tcp, box: box, closed: make(chan struct{})}
	s.paths = append(s.paths, p)
	return p, nil
}

func (s *Source) closePaths() {
	for _, p := range s.paths {
		close(p.closed)
	}
	s.paths = nil
}

// sameHost compares addresses without port and zone.
func sameHost(a, b netip.AddrPort) bool { return a.Addr().WithZone("") == b.Addr().WithZone("") }
