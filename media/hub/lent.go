package hub

import "berth/media/slab"

// lent is a piece of memory that the garbage collector does not know, with published chunks in it. There are such chunks only while the hub has no open reader, so that nobody but the hub itself can be
// looking at one: it is given back as soon as the ring has dropped its chunks. Owned by the hub's lock.
type lent struct {
	pool  *slab.Pool
	piece *slab.Piece
	users int // chunks in the ring, and the builder
}

// leave says that one of the users has gone. On nil it does nothing.
func (l *lent) leave() {
	if l == nil {
		return
	}
	if l.users--; l.users == 0 {
		l.pool.Give(l.piece)
		l.piece = nil
	}
}

// own moves all that lies in lent memory to the heap, before the first reader can come to see it.
func (h *Hub) own() {
	var room []byte
	for pos := h.ring.tail.Load(); pos < h.ring.head.Load(); pos++ {
		c := h.ring.get(pos)
		if c.lent == nil {
			continue
		}
		if len(c.Data) > len(room) {
			room = make([]byte, max(slabBytes, len(c.Data)))
		}
		moved := *c
		n := copy(room, c.Data)
		moved.Data, moved.lent, room = room[:n:n], nil, room[n:]
		h.ring.slots.Load().of(pos).Store(&moved)
		c.lent.leave()
	}
	h.build.pool = nil
	if h.build.lent != nil {
		h.build.move(0)
	}
}

// disown lets the memory of what comes from here on be lent, because the last reader has gone. What readers may still be looking at stays where it is.
func (h *Hub) disown() {
	if !h.closed.Load() {
		h.build.pool = h.opts.Memory
	}
}

// empty lets go of all that the ring holds, and of what is unfinished.
func (h *Hub) empty() {
	for h.ring.tail.Load() < h.ring.head.Load() {
		h.ring.drop()
	}
	h.build.lent.leave()
	h.build = builder{pool: h.build.pool}
}
