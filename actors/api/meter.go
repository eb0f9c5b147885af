package api

import (
	"sync"
	"time"
)

const (
	meterInterval = time.Second      // a speed is measured over at least this long
	meterKeep     = 10 * time.Minute // what nobody asked about is forgotten
	maxMetered    = 65536            // things remembered at once
)

// meter turns byte counters into speeds. Nothing runs in the background: the speed that a call sees is the mean since an earlier call, at least a second ago, or for the
// first call since the stream, or whatever else is metered, began.
type meter[K comparable] struct {
	mu      sync.Mutex
	samples map[K]*sample
	swept   time.Time
}

type sample struct {
	created time.Time // of the thing; another one of the same name starts anew
	at      time.Time
	bytes   uint64
	speed   uint64 // bytes a second
}

func newMeter[K comparable]() *meter[K] { return &meter[K]{samples: map[K]*sample{}} }

// speed returns the bytes a second of what has carried so many since it was created.
func (m *meter[K]) speed(key K, created time.Time, bytes uint64, now time.Time) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.samples[key]
	if !ok || !known.created.Equal(created) || known.bytes > bytes {
		known = &sample{created: created, at: created}
		m.sweep(now)
		if len(m.samples) < maxMetered {
			m.samples[key] = known
		}
	}
	if span := now.Sub(known.at); span >= meterInterval {
		known.speed = uint64(float64(bytes-known.bytes) / span.Seconds())
		known.at, known.bytes = now, bytes
	}
	return known.speed
}

// sweep forgets what nobody asked about for long. It looks once a minute, or when there is no room.
func (m *meter[K]) sweep(now time.Time) {
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
