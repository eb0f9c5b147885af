package gb28181

import (
	"sync"

	"berth/media/hub"
)

// Forms are the forms that are being made, each once per stream and options, and while somebody uses it. The zero value is ready. All methods may be called from any goroutine.
type Forms struct {
	mu  sync.Mutex // taken before a hub's lock, never inside one
	all map[formKey]*Form
}

type formKey struct {
	hub  *hub.Hub
	opts FormOptions
}

// Use returns the form of a stream, which is made if nobody uses it yet. Whoever gets one calls [Form.Release] once. The error is ErrNoTrack or a [*CodecError].
func (s *Forms) Use(h *hub.Hub, opts FormOptions) (*Form, error) {
	opts.setDefaults()
	key := formKey{h, opts}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.all[key]
	if f == nil {
		var err error
		if f, err = newForm(h, opts); err != nil {
			return nil, err
		}
		f.forms, f.key = s, key
		if s.all == nil {
			s.all = map[formKey]*Form{}
		}
		s.all[key] = f
	}
	f.users++
	return f, nil
}

// Release ends one use. The last one waits until the form's goroutine has ended; its senders must have been closed before.
func (f *Form) Release() {
	s := f.forms
	s.mu.Lock()
	f.users--
	last := f.users == 0
	if last {
		delete(s.all, f.key)
	}
	s.mu.Unlock()
	if last {
		f.close()
	}
}

// Len returns how many forms are being made.
func (s *Forms) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}
