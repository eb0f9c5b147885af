package config

import (
	"os"
	"time"
)

// Times of [Settle].
const (
	settleQuiet = 20 * time.Millisecond
	settleMost  = time.Second
)

// Settle waits until file has not been changed for 20 ms, for a second at most. A server that runs calls it before [Load]: whoever writes a file in place empties it first, and
// what is read in between would be taken for the wish to give every key its default. It returns at once for a file that is older, or that is not there.
func Settle(file string) {
	for began := time.Now(); time.Since(began) < settleMost; {
		info, err := os.Stat(file)
		if err != nil {
			return
		}
		quiet := time.Since(info.ModTime())
		if quiet < 0 || quiet >= settleQuiet { // below zero: the clock was set back, or the file was given a time
			return
		}
		time.Sleep(settleQuiet - quiet)
	}
}
