package api

import (
	"sync"
	"time"

	"berth/actors/stream"
	"berth/media"
)

const (
	meterInterval = time.Second      // a speed is measured over at least this long
	meterKeep     = 10 * time.Minute // a stream that nobody asked about is forgotten
	maxMetered    = 65536            // streams remembered at once
)

// meter turns byte counters into speeds. Nothing runs in the background: the speed that a call sees is the mean since an earlier call, at least a second ago, or for the
// first call since the stream began.
type meter struct {
	mu      sync.Mutex
	samples map[media.StreamKey]*sample
	swept   time.Time
}

type sample struct {
	created time.Time // of the stream; another stream of the same name starts anew
	at      time.Time
	bytes   uint64
	speed   uint64 // bytes a second
}

func newMeter() *meter { return &meter{samples: map[media.StreamKey]*sample{}} }

// speed returns the stream's bytes a second.
func (m *meter) speed(s *stream.Snapshot, now time.Time) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.samples[s.Key]
	if !ok || !known.created.Equal(s.Created) || known.bytes > s.Stats.Bytes {
		known = &sample{created: s.Created, at: s.Created}
		m.sweep(now)
		if len(m.samples) < maxMetered {
			m.samples[s.Key] = known
		}
	}
	if span := now.Sub(known.at); span >= meterInterval {
		known.speed = uint64(float64(s.Stats.Bytes-known.bytes) / span.Seconds())
		known.at, known.bytes = now, s.Stats.Bytes
	}
	return known.speed
}

// sweep forgets what nobody asked about for long. It looks once a minute, or when there is no room.
func (m *meter) sweep(now time.Time) {
	if now.Sub(m.swept) < time.Minute && len(m.samples) < maxMetered {
		return
	}
	m.swept = now
	for key, known := range m.samples {
		if now.Sub(known.at) > meterKeep {
			delete(m.samples, key)
		}
	}
}
