package hub

import (
	"time"

	"berth/media"
)

// maxSlew is how far a timeline that viewers know moves at once. It is shorter than any audio packet, so that a player which follows sender reports never sees
// time run backwards.
const maxSlew = 5 * time.Millisecond

// timeline maps the RTP timestamps that viewers see to the wall clock. Players line tracks up by it, through RTP-Info and sender reports, so
// once it has been told to anybody it never steps.
type timeline struct {
	rate   media.ClockRate
	known  bool
	locked bool // told to viewers
	rtp    uint32
	wall   time.Time // of rtp

	late    time.Duration // least lateness of the packets since the last adjustment
	lateSet bool
}

func (t *timeline) anchor(rtp uint32, wall time.Time) {
	t.known, t.rtp, t.wall = true, rtp, wall
	t.lateSet = false
}

// at returns the instant of a timestamp.
func (t *timeline) at(rtp uint32) time.Time {
	return t.wall.Add(t.rate.Duration(media.TimestampDiff(rtp, t.rtp)))
}

// rtpAt returns the timestamp of an instant.
func (t *timeline) rtpAt(at time.Time) uint32 {
	return t.rtp + uint32(t.rate.Ticks(at.Sub(t.wall)))
}

// move shifts the timeline: at once while nobody knows it, else by no more than maxSlew.
func (t *timeline) move(by time.Duration) {
	if t.locked {
		by = min(max(by, -maxSlew), maxSlew)
	}
	t.wall = t.wall.Add(by)
}

// heard notes a packet's arrival. The packet that was least delayed on its way says best when the source meant its timestamp to be. free is true while the source
// has not said it itself.
func (t *timeline) heard(rtp uint32, now time.Time, free bool) {
	// The reference follows the packets, so that differences stay far below half the timestamp circle.
	if d := t.rate.Duration(media.TimestampDiff(rtp, t.rtp)); d > time.Minute {
		t.rtp, t.wall = rtp, t.wall.Add(d)
	}
	late := now.Sub(t.at(rtp))
	if !t.lateSet || late < t.late {
		t.late, t.lateSet = late, true
	}
	if late < 0 && free && !t.locked {
		t.move(late)
		t.late = 0
	}
}

// follow adjusts the timeline to the arrivals since the last call; for sources without sender reports.
func (t *timeline) follow() {
	if t.lateSet {
		t.move(t.late)
		t.lateSet = false
	}
}

// ntpEpoch is 1900-01-01 in Unix seconds (RFC 3550 section 4).
const ntpEpoch = -2208988800

// ntpTime converts a 64-bit NTP timestamp. Sources whose clock was never set give times near 1900 or 1970, which serve as well: only differences are used.
func ntpTime(ntp uint64) time.Time {
	return time.Unix(ntpEpoch+int64(ntp>>32), int64((ntp&0xffff_ffff)*1e9>>32))
}

// ntpStamp converts to a 64-bit NTP timestamp.
func ntpStamp(t time.Time) uint64 {
	return uint64(t.Unix()-ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}
