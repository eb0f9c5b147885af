package ports

import "time"

// A [History] keeps an hour in buckets of a minute.
const (
	HistoryStep    = time.Minute
	historyBuckets = 60
)

// ForecastWindow is the time whose leases and releases a [Forecast] is drawn from, or less when the history is shorter.
const ForecastWindow = 10 * time.Minute

// forecastMin is the shortest history that says anything.
const forecastMin = 2 * time.Minute

// Bucket is what happened in one minute.
type Bucket struct {
	Start   time.Time
	Peak    int // most slots leased at once
	Leased  int // slots leased at the end of the minute, or now
	Granted int // leases that began
	Ended   int // leases that ended
	Refused int // leases that were refused
}

// Forecast is where the use of a range leads if it goes on as in the window.
type Forecast struct {
	Window  time.Duration // what the rate was taken from; 0 when the history is too short to say anything
	PerHour float64       // how many more slots are leased at the end of an hour than at its beginning; below 0 when the use shrinks
	Growing bool          // the range will be exhausted, after In
	In      time.Duration // until no slot is left; 0 unless Growing
}

// History is what happened to the slots of a range in the last hour, minute by minute. It reads no clock: the time is passed in, and is taken as standing still when it
// goes backwards. It is for one goroutine at a time. Make it with [NewHistory].
type History struct {
	buckets [historyBuckets]Bucket
	now     int // index of the present bucket
	filled  int // buckets in use, from 1
}

// NewHistory begins a history.
func NewHistory(now time.Time) *History {
	h := &History{filled: 1}
	h.buckets[0].Start = now
	return h
}

// Granted notes that a lease began; so many slots are leased with it.
func (h *History) Granted(now time.Time, leased int) {
	b := h.at(now)
	b.Granted++
	b.Leased = leased
	b.Peak = max(b.Peak, leased)
}

// Ended notes that a lease ended; so many slots are leased without it.
func (h *History) Ended(now time.Time, leased int) {
	b := h.at(now)
	b.Ended++
	b.Leased = leased
}

// Refused notes that a lease was refused.
func (h *History) Refused(now time.Time) { h.at(now).Refused++ }

// at returns the bucket of a time, and begins those that are due. A minute in which nothing happened goes on with what was leased before.
func (h *History) at(now time.Time) *Bucket {
	b := &h.buckets[h.now]
	steps := int(min(now.Sub(b.Start)/HistoryStep, 2*historyBuckets)) // a longer silence leaves nothing of what was before either
	if skipped := int(now.Sub(b.Start)/HistoryStep) - steps; skipped > 0 {
		b.Start = b.Start.Add(time.Duration(skipped) * HistoryStep)
	}
	for range steps {
		last := h.buckets[h.now]
		h.now = (h.now + 1) % historyBuckets
		h.filled = min(h.filled+1, historyBuckets)
		h.buckets[h.now] = Bucket{Start: last.Start.Add(HistoryStep), Peak: last.Leased, Leased: last.Leased}
	}
	return &h.buckets[h.now]
}

// Buckets returns the minutes of the last hour, the oldest first; the last one is not over.
func (h *History) Buckets(now time.Time) []Bucket {
	h.at(now)
	out := make([]Bucket, 0, h.filled)
	for i := range h.filled {
		out = append(out, h.buckets[(h.now-h.filled+1+i+historyBuckets)%historyBuckets])
	}
	return out
}

// Forecast says when the slots that are left will be gone, if leases go on beginning and ending as in the last [ForecastWindow].
func (h *History) Forecast(now time.Time, left int) Forecast {
	h.at(now)
	const whole = int(ForecastWindow / HistoryStep)
	n := min(h.filled, whole)
	first := h.buckets[(h.now-n+1+historyBuckets)%historyBuckets]
	window := min(now.Sub(first.Start), ForecastWindow)
	if window < forecastMin {
		return Forecast{}
	}
	net := 0
	for i := range n {
		b := &h.buckets[(h.now-i+historyBuckets)%historyBuckets]
		net += b.Granted - b.Ended
	}
	f := Forecast{Window: window, PerHour: float64(net) * float64(time.Hour) / float64(window)}
	if net > 0 {
		// An exhausted range has no future to foresee: In is 0 then.
		f.Growing, f.In = true, time.Duration(float64(max(0, left))/float64(net)*float64(window))
	}
	return f
}
