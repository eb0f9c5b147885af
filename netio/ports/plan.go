package ports

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Load is what a range is to be sized for. Sessions count at their peak. No number may be negative.
type Load struct {
	PullUDP    int // RTSP pulls over UDP: one pair a track
	PublishUDP int // RTSP publishers over UDP: one pair a track
	OverTCP    int // pulls and publishers over TCP, and receivers on a single port: no pair
	Receivers  int // GB28181 receivers with a port of their own: one pair
	Viewers    int // viewers over UDP: none of their own, but each stream that is watched has one shared pair a track
	Watched    int // streams with a viewer over UDP at the same time; 0 = as many as there can be, the smaller of Viewers and all streams
	Tracks     int // tracks of a stream, 1 to 16

	HeadroomPercent int           // added to what the load needs, 0 to 1000
	EndsPerMinute   int           // sessions that end in a minute: their pairs are kept back for a while
	KeptBack        time.Duration // how long a released pair is kept back: draining and cooling together
}

// Need is one line of a plan.
type Need struct {
	What      string // the sessions, for people
	Sessions  int
	PairsEach int
	Pairs     int // Sessions times PairsEach
}

// Plan is the range that a [Load] needs.
type Plan struct {
	Needs    []Need // lines with no session are left out
	Leased   int    // pairs that the load holds at its peak
	KeptBack int    // pairs that are draining or cooling meanwhile
	Headroom int    // pairs added for safety
	Pairs    int    // the sum, at least MinPairs
	Range    Range  // where to put them
	Overlap  Set    // ports of Range that others use too: no range of that size keeps clear of them
}

// MinPairs is the smallest range that a configuration accepts.
const MinPairs = 18

// Bounds of a plan's numbers, so that no sum overflows.
const (
	maxSessions = 1_000_000
	maxTracks   = 16
	maxHeadroom = 1000
	maxKeptBack = 24 * time.Hour
)

// ErrTooLarge means that a load needs more pairs than one address has ports for.
var ErrTooLarge = errors.New("more pairs than one address has ports for")

// Placing says where a planned range may lie.
type Placing struct {
	From   uint16 // begin here or above if possible
	Shun   Set    // ports to keep clear of if possible: ephemeral ones, NodePorts
	Forbid Set    // ports to keep clear of whatever it costs: the server's own listeners
}

// lowest is the first port that a program without privileges may bind; no plan begins below it.
const lowest = 1024

// NewPlan computes what load needs and where to put it. The error says which number is out of bounds, or is [ErrTooLarge].
func NewPlan(load Load, at Placing) (Plan, error) {
	if err := load.check(); err != nil {
		return Plan{}, err
	}
	watched := load.watched()
	p := Plan{}
	add := func(what string, sessions, each int) {
		if sessions > 0 {
			p.Needs = append(p.Needs, Need{What: what, Sessions: sessions, PairsEach: each, Pairs: sessions * each})
			p.Leased += sessions * each
		}
	}
	add("RTSP pulls over UDP", load.PullUDP, load.Tracks)
	add("RTSP publishers over UDP", load.PublishUDP, load.Tracks)
	add("GB28181 receivers, a port each", load.Receivers, 1)
	add("streams over TCP or a single port", load.OverTCP, 0)
	add("streams watched over UDP", watched, load.Tracks)
	add("viewers over UDP, on the streams' pairs", load.Viewers, 0)
	each := 1
	if load.PullUDP+load.PublishUDP+watched > 0 {
		each = load.Tracks
	}
	p.KeptBack = int(math.Ceil(float64(load.EndsPerMinute) * load.KeptBack.Minutes() * float64(each)))
	p.Headroom = (p.Leased*load.HeadroomPercent + 99) / 100
	p.Pairs = max(p.Leased+p.KeptBack+p.Headroom, MinPairs)
	var ok bool
	if p.Range, ok = at.place(p.Pairs); !ok {
		return Plan{}, fmt.Errorf("the load needs %d pairs, %w: pull and publish over TCP, use a single port for receivers, or spread the load over several servers", p.Pairs, ErrTooLarge)
	}
	p.Overlap = NewSet(p.Range).Intersect(at.Shun)
	return p, nil
}

// place prefers the lowest clear place from at.From up, then the highest clear one below it, then any.
func (at Placing) place(pairs int) (Range, bool) {
	apart := at.Shun.Union(at.Forbid)
	if r, ok := apart.Place(pairs, at.From); ok {
		return r, true
	}
	var best Range
	for _, gap := range NewSet(Range{Low: lowest, High: math.MaxUint16}).Minus(apart) {
		if high := (int(gap.High)+1)&^1 - 1; gap.Pairs() >= pairs {
			best = Range{Low: uint16(high - 2*pairs + 1), High: uint16(high)} //nolint:gosec // it lies in the gap
		}
	}
	if !best.IsZero() {
		return best, true
	}
	if r, ok := at.Forbid.Place(pairs, at.From); ok {
		return r, true
	}
	return at.Forbid.Place(pairs, lowest)
}

// watched returns how many streams have a viewer over UDP.
func (l Load) watched() int {
	if l.Watched > 0 {
		return l.Watched
	}
	return min(l.Viewers, l.PullUDP+l.PublishUDP+l.OverTCP+l.Receivers)
}

func (l Load) check() error {
	for _, n := range []struct {
		name       string
		value      int
		low, limit int
	}{
		{"pulls over UDP", l.PullUDP, 0, maxSessions},
		{"publishers over UDP", l.PublishUDP, 0, maxSessions},
		{"streams over TCP", l.OverTCP, 0, maxSessions},
		{"receivers", l.Receivers, 0, maxSessions},
		{"viewers", l.Viewers, 0, maxSessions},
		{"watched streams", l.Watched, 0, maxSessions},
		{"tracks", l.Tracks, 1, maxTracks},
		{"headroom in per cent", l.HeadroomPercent, 0, maxHeadroom},
		{"sessions that end in a minute", l.EndsPerMinute, 0, maxSessions},
		{"seconds that a released pair is kept back", int(l.KeptBack / time.Second), 0, int(maxKeptBack / time.Second)},
	} {
		if n.value < n.low || n.value > n.limit {
			return fmt.Errorf("%d %s: a plan takes %d to %d", n.value, n.name, n.low, n.limit)
		}
	}
	return nil
}

// Capacity is how many sessions of one kind a range can carry when there is no other kind.
type Capacity struct {
	What      string
	PairsEach int
	Sessions  int
}

// Carries returns what so many leasable pairs can carry, kind by kind, with that many tracks a stream. Viewers are not among them: they cost no pair of their own.
func Carries(pairs, tracks int) []Capacity {
	tracks = max(tracks, 1)
	return []Capacity{
		{"RTSP pulls over UDP", tracks, pairs / tracks},
		{"RTSP pulls over UDP, each watched over UDP too", 2 * tracks, pairs / (2 * tracks)},
		{"RTSP publishers over UDP", tracks, pairs / tracks},
		{"GB28181 receivers, a port each", 1, pairs},
	}
}
