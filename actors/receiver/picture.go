package receiver

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"berth/actors/store"
	"berth/media"
	"berth/netio/gb28181"
)

// picture is what an actor shows of itself. Written by that actor, read by receivers.
type picture struct{ shown atomic.Pointer[shown] }

// shown is a picture at one moment; what moves all the time is asked of the source. Immutable.
type shown struct {
	snapshot Snapshot
	source   meter // nil without a device
	silence  silence
}

// meter is where a device's counters are read, at any time from any goroutine.
type meter interface{ Stats() gb28181.SourceStats }

func newPicture(def store.Receiver) *picture {
	p := &picture{}
	p.shown.Store(&shown{snapshot: Snapshot{Definition: def, Key: def.Key, Since: def.Created}})
	return p
}

// stream returns the key of the published stream, the zero key while there is none.
func (p *picture) stream() media.StreamKey { return p.shown.Load().snapshot.Stream }

// key returns the key as opened.
func (p *picture) key() media.StreamKey { return p.shown.Load().snapshot.Key }

// snapshot completes the picture with the counters.
func (p *picture) snapshot(now time.Time) Snapshot {
	s := p.shown.Load()
	out := s.snapshot
	out.Paused = s.silence.pausedUntil(now)
	if s.source != nil {
		out.Stats = s.source.Stats()
	}
	return out
}

// snapshots are pictures of all receivers and devices in key order, or of the one with that key.
func (a *registry) snapshots(key media.StreamKey) []Snapshot {
	var out []Snapshot
	now := a.opts.Now()
	all := key == media.StreamKey{}
	for _, e := range a.entries {
		if (all || e.def.Key == key) && !e.doomed && !e.over {
			snap := e.picture.snapshot(now)
			snap.Definition, snap.Restored = e.def, e.restored
			out = append(out, snap)
		}
	}
	for _, d := range a.devices {
		if all || d.picture.key() == key {
			out = append(out, d.picture.snapshot(now))
		}
	}
	slices.SortFunc(out, func(a, b Snapshot) int {
		return cmp.Or(strings.Compare(a.Key.String(), b.Key.String()), a.Peer.Compare(b.Peer))
	})
	return out
}
