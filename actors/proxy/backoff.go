package proxy

import "time"

// backoff returns the pause before the n-th retry (from 1): least, doubled each time, with up to half as much again at random so that many proxies which lost their sources
// together do not come back together; never less than least nor more than most. random is in [0, 1).
func backoff(n int, least, most time.Duration, random float64) time.Duration {
	most = max(least, most)
	pause := least
	for ; n > 1 && pause < most; n-- {
		pause *= 2
	}
	pause += time.Duration(float64(pause) / 2 * random)
	if pause > most {
		pause = most - time.Duration(float64(most-least)/4*random)
	}
	return pause
}
