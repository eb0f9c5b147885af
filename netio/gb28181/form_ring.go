package gb28181

import (
	"sync"
	"time"
)

// packet is the payload of one RTP packet. It is immutable and shared by all senders of a form.
type packet struct {
	payload []byte
	marker  bool
}

// unit is an access unit, or a frame of sound, in the packets that it leaves in.
type unit struct {
	packets   []packet
	bytes     int       // of all payloads
	timestamp uint32    // on the form's clock
	key       bool      // a receiver may begin with it
	arrived   time.Time // when its first packet came into the stream
}

// formRing keeps the newest units of a form for its senders: those since the last key unit, and those of the last moments. The form writes, any number of senders read.
type formRing struct {
	gopBytes int64         // of the units since the last key unit that are kept for who comes; more of them, and who comes waits for the next
	keep     time.Duration // how long a unit is kept beyond that

	mu      sync.Mutex // guards what follows
	units   []unit
	base    uint64 // position of units[0]
	key     uint64 // 1 + position of the newest key unit, 0 when there is none
	bytes   int64  // of all units
	gop     int64  // of those from the newest key unit on
	packets uint64 // ever pushed
	ended   bool   // nothing more will come
}

// ringBytesSpare is what a ring may hold beyond its GOP bytes, however short its units' time is.
const ringBytesSpare = 8 << 20

// push adds a unit and drops what need not be kept any more.
func (r *formRing) push(u unit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.key {
		r.key, r.gop = r.base+uint64(len(r.units))+1, 0
	}
	r.units = append(r.units, u)
	r.bytes += int64(u.bytes)
	r.gop += int64(u.bytes)
	r.packets += uint64(len(u.packets))
	for len(r.units) > 1 && !r.needs(&r.units[0], u.arrived) {
		r.bytes -= int64(r.units[0].bytes)
		r.units[0] = unit{}
		r.units = r.units[1:]
		r.base++
	}
}

// needs says whether the oldest unit is to be kept. Called with the lock held.
func (r *formRing) needs(oldest *unit, now time.Time) bool {
	if r.bytes > r.gopBytes+ringBytesSpare {
		return false
	}
	if r.key > 0 && r.base >= r.key-1 && r.gop <= r.gopBytes {
		return true
	}
	return now.Sub(oldest.arrived) <= r.keep
}

// end says that nothing more will come.
func (r *formRing) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// cursor is a sender's place in the ring. Owned by the sender's goroutine.
type cursor struct {
	pos     uint64 // of the next unit; while seeking, the first one that may be taken
	seeking bool   // waits for a key unit
	joined  bool   // has begun somewhere
	next    uint64 // packets pushed before the unit at pos
	jumps   uint64 // times it had to look for a key unit because it was too slow
	dropped uint64 // packets passed over by jumps
}

// begin returns the place where a new sender begins: the newest key unit, or the next.
func (r *formRing) begin() cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return cursor{pos: r.base, seeking: true, next: r.packets}
}

// take appends units from the cursor on to dst, at most so many and so many packets (but at least one unit). done is true when the form has ended and nothing is left.
func (r *formRing) take(c *cursor, dst []unit, maxUnits, maxPackets int) (out []unit, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.seeking && c.pos < r.base {
		c.seeking = true
		c.jumps++
	}
	if c.seeking && !r.seek(c) {
		return dst, r.ended
	}
	packets := 0
	for i := c.pos - r.base; i < uint64(len(r.units)) && maxUnits > 0; i++ {
		u := r.units[i]
		if packets > 0 && packets+len(u.packets) > maxPackets {
			break
		}
		dst = append(dst, u)
		packets += len(u.packets)
		maxUnits--
		c.pos++
	}
	c.next += uint64(packets)
	return dst, packets == 0 && r.ended
}

// seek moves the cursor to the newest key unit that is not before it. Called with the lock held.
func (r *formRing) seek(c *cursor) bool {
	if r.key == 0 || r.key-1 < r.base || r.key-1 < c.pos {
		return false
	}
	c.pos, c.seeking = r.key-1, false
	after := 0
	for _, u := range r.units[c.pos-r.base:] {
		after += len(u.packets)
	}
	at := r.packets - uint64(after)
	if c.joined && at > c.next {
		c.dropped += at - c.next
	}
	c.next, c.joined = at, true
	return true
}

// lag returns how many packets wait for a cursor.
func (r *formRing) lag(next uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.packets - min(next, r.packets)
}

// last returns how many units have ever been pushed.
func (r *formRing) last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.base + uint64(len(r.units))
}
