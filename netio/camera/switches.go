package camera

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Stall makes the camera send no media while its connections stay open and it goes on answering requests. The media clock goes on. When it
// returns nothing more is written.
func (c *Camera) Stall() { c.stall(true) }

// Resume ends a [Camera.Stall].
func (c *Camera) Resume() { c.stall(false) }

func (c *Camera) stall(on bool) {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.stalled = on
}

// RefuseUDP makes SETUP over UDP answer 461 (unsupported transport).
func (c *Camera) RefuseUDP(on bool) { c.refuseUDP.Store(on) }

// SilentUDP makes sessions that are set up over UDP from now on get no packet, as behind a firewall that drops them.
func (c *Camera) SilentUDP(on bool) { c.silentUDP.Store(on) }

// SetTracks changes what connections that DESCRIBE from now on are given. Sessions that are already open keep what they have.
func (c *Camera) SetTracks(tracks Tracks) error {
	f, err := newFeed(c.server, c.clip, tracks)
	if err != nil {
		return fmt.Errorf("camera: %w", err)
	}
	twin, err := newFeed(c.server, c.clip, tracks)
	if err != nil {
		return fmt.Errorf("camera: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = f
	c.silent[f] = twin
	c.feeds = append(slices.Clone(c.feeds), f)
	return nil
}

// Redirect answers DESCRIBE of path with 302 and this address; an empty one ends that.
func (c *Camera) Redirect(path, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path = strings.Trim(path, "/"); to == "" {
		delete(c.redirects, path)
	} else {
		c.redirects[path] = to
	}
}

// FailDescribe answers every DESCRIBE with this status; 0 ends that.
func (c *Camera) FailDescribe(status base.StatusCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// DropConnections closes all connections and sessions at once, without a word, and returns how many connections there were. New ones are welcome.
func (c *Camera) DropConnections() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.sessions {
		s.Close()
	}
	for conn := range c.conns {
		conn.Close()
	}
	return len(c.conns)
}

// Connections returns how many connections are open.
func (c *Camera) Connections() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns)
}

// Sessions returns how many RTSP sessions exist: what a SETUP opened and no TEARDOWN has ended.
func (c *Camera) Sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// Requests returns how many requests of a method have arrived.
func (c *Camera) Requests(method base.Method) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests[method]
}
