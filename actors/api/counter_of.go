package api

// counterOf adds up the counters of things that come and go, so that the sum never falls. What a thing counted between the last look at it and its end
// is lost.
type counterOf[K comparable] struct {
	sum    float64
	things map[K]*counted
}

type counted struct {
	id    int64 // tells a thing from its successor of the same key
	bytes uint64
	seen  bool // since the last forget
}

// see adds what the thing counted since the last look.
func (c *counterOf[K]) see(key K, id int64, bytes uint64) {
	was, ok := c.things[key]
	if !ok || was.id != id || was.bytes > bytes {
		was = &counted{id: id}
		if c.things == nil {
			c.things = map[K]*counted{}
		}
		c.things[key] = was
	}
	c.sum += float64(bytes - was.bytes)
	was.bytes, was.seen = bytes, true
}

// forget drops what was not seen since the last call.
func (c *counterOf[K]) forget() {
	for key, thing := range c.things {
		if !thing.seen {
			delete(c.things, key)
		}
		thing.seen = false
	}
}
