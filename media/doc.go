// Package media holds what every part of berth says about audio and video: stream keys, tracks, codecs and clocks.
//
// The package and everything below it is pure: it starts no goroutine, opens no socket, reads no clock and writes no log. Times are
// passed in. Protocols meet here and nowhere else: a publisher turns what it hears into [Track]s and RTP packets for a hub
// (package berth/media/hub), a viewer is served from the hub's chunks.
//
// All types are immutable after their construction and may be shared between goroutines.
package media
