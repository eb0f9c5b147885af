package hub

// Pause says that the publisher writes nothing for a while, because nobody needs it: what is unfinished is published, and readers that come begin at the next random access point instead of an old one. While
// nobody is subscribed all that the ring holds is let go. Writing goes on as if nothing had been.
func (w *Writer) Pause() {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer != w {
		return
	}
	h.publish(0)
	for i, t := range h.state {
		t.unit = unit{}
		h.start[i].Store(0)
	}
	if len(h.wakers) == 0 {
		h.empty()
	}
}
