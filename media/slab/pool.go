package slab

import "sync"

const (
	// Size is the length of a piece in bytes. Of each stream about one piece is unused, half of the oldest and half of the newest.
	Size = 16 << 10
	// regionPieces is how many are asked of the system at a time.
	regionPieces = 64
	// leastWarm is how many pieces are kept ready in any case, and lentPerWarm how many lent ones allow one more: streams give back a group of pictures at a time, and take it again over seconds.
	leastWarm   = 64
	lentPerWarm = 32
)

// Options give a [Pool] the system's functions. All are required.
type Options struct {
	Map     func(bytes int) ([]byte, error) // new memory, which the garbage collector does not know
	Discard func([]byte)                    // its contents are not needed any more and its pages can serve others; it stays usable
	Unmap   func([]byte)                    // it is not used any more
}

// Piece is lent memory.
type Piece struct {
	Data []byte // Size bytes with whatever they held before
}

// Stats says where a pool's memory is, in bytes.
type Stats struct {
	Lent int64 // to streams
	Warm int64 // given back and kept ready
}

// Pool lends pieces. A nil Pool has none.
type Pool struct {
	opts Options

	mu      sync.Mutex // guards what follows
	regions [][]byte
	warm    []*Piece // their pages are the process's
	cold    []*Piece // their pages have been given up, or were never touched
	lent    int
	closed  bool
}

// New makes a pool. It asks the system for nothing until the first Take.
func New(opts Options) *Pool { return &Pool{opts: opts} }

// Take lends a piece, the one that was used last. It is nil when the system has no more, or after Close: the caller then uses memory of its own.
func (p *Pool) Take() *Piece {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.warm)+len(p.cold) == 0 && !p.enlarge() {
		return nil
	}
	from := &p.warm
	if len(p.warm) == 0 {
		from = &p.cold
	}
	last := len(*from) - 1
	piece := (*from)[last]
	(*from)[last] = nil
	*from = (*from)[:last]
	p.lent++
	return piece
}

// Give takes a piece back, which nobody may look at any more.
func (p *Pool) Give(piece *Piece) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent--
	p.warm = append(p.warm, piece)
	for last := len(p.warm) - 1; last >= max(leastWarm, p.lent/lentPerWarm); last-- {
		p.opts.Discard(p.warm[last].Data)
		p.cold = append(p.cold, p.warm[last])
		p.warm = p.warm[:last]
	}
	if p.closed {
		p.unmap()
	}
}

// Stats tells where the memory is.
func (p *Pool) Stats() Stats {
	if p == nil {
		return Stats{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Lent: int64(p.lent) * Size, Warm: int64(len(p.warm)) * Size}
}

// Close lends no more, and gives the memory back to the system when the last piece is back. It may be called again.
func (p *Pool) Close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.unmap()
}

// enlarge asks the system for more.
func (p *Pool) enlarge() bool {
	region, err := p.opts.Map(regionPieces * Size)
	if err != nil {
		return false
	}
	p.regions = append(p.regions, region)
	for i := regionPieces - 1; i >= 0; i-- {
		p.cold = append(p.cold, &Piece{Data: region[i*Size : (i+1)*Size : (i+1)*Size]})
	}
	return true
}

func (p *Pool) unmap() {
	if p.lent > 0 {
		return
	}
	p.warm, p.cold = nil, nil
	for _, r := range p.regions {
		p.opts.Unmap(r)
	}
	p.regions = nil
}
