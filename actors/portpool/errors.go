package portpool

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"berth/netio/ports"
)

// Reason says why a lease was refused. Its text is stable: it is a metric label and stands in API replies.
type Reason string

// The reasons for a refusal.
const (
	ReasonExhausted  Reason = "exhausted"    // no pair of the range can be leased now
	ReasonTimeout    Reason = "timeout"      // the search for a pair that can be bound took longer than pool.lease_timeout
	ReasonAddress    Reason = "address"      // the local address cannot be bound: not on this machine, or forbidden
	ReasonProcess    Reason = "process"      // the process or the system is out of descriptors or memory
	ReasonRestarting Reason = "restarting"   // the engine is being torn down
	ReasonInvalid    Reason = "invalid"      // the request itself makes no sense: odd port, no sockets
	ReasonOutOfRange Reason = "out_of_range" // the wanted port lies outside the range
	ReasonLeased     Reason = "leased"       // the wanted port is leased to someone else
	ReasonDraining   Reason = "draining"     // the wanted port was another stream's a moment ago and is still bound
	ReasonCooling    Reason = "cooling"      // the wanted port was another stream's a moment ago
	ReasonForeign    Reason = "foreign"      // another program holds the wanted port
	ReasonExcluded   Reason = "excluded"     // the wanted port is excluded from the pool
)

// Reasons returns all reasons, for metrics that want every label present.
func Reasons() []Reason {
	return []Reason{
		ReasonExhausted, ReasonTimeout, ReasonAddress, ReasonProcess, ReasonRestarting, ReasonInvalid, ReasonOutOfRange,
		ReasonLeased, ReasonDraining, ReasonCooling, ReasonForeign, ReasonExcluded,
	}
}

// errPoolEnds answers an audit that the end of the pool cut off.
var errPoolEnds = errors.New("the port pool ended before the audit was over")

// Usage is how many pairs one kind of owner holds.
type Usage struct {
	Purpose Purpose
	App     string // application of the streams
	Pairs   int
}

// RefusedError is why no lease could be granted. Nothing is held then.
type RefusedError struct {
	Reason  Reason
	Range   ports.Range   // the range in force
	Pending ports.Range   // the range that waits for a full restart; zero when none does
	Bind    netip.Addr    // the local address that was asked for; zero when it is pool.bind or covered by it
	Counts  ports.Counts  // pairs by state at the moment of the refusal, on that address
	Largest []Usage       // the largest owners, at most three, largest first; only when the pool is exhausted
	Port    uint16        // the wanted port; 0 when any would do
	Holder  string        // the stream that has, or had, the wanted port; may be empty
	Tried   int           // pairs that were tried and could not be bound
	Retry   time.Duration // when a pair, or the wanted one, may come free by itself at the earliest; 0 when that is not known
	Err     error         // the operating system's error behind it; may be nil
}

// Unwrap returns the operating system's error behind the refusal, if there is one.
func (e *RefusedError) Unwrap() error { return e.Err }

// Error says what happened, how the pool stands and what to do. When the pool is exhausted the text begins with
// "none reserved port in pool", which ZLMediaKit's clients look for.
func (e *RefusedError) Error() string {
	var parts []string
	switch e.Reason {
	case ReasonExhausted, ReasonTimeout:
		parts = e.shortage()
	case ReasonAddress:
		parts = []string{
			fmt.Sprintf("the port pool cannot bind its local address: %v", e.Err),
			"set pool.bind (or general.listen_ip) to an address of this machine, and use ports from 1024 up unless the program may bind lower ones",
		}
	case ReasonProcess:
		parts = []string{
			fmt.Sprintf("the process cannot open more sockets: %v", e.Err),
			"raise the limit of open files (LimitNOFILE= in the systemd unit, or ulimit -n), or end streams",
		}
	case ReasonRestarting:
		parts = []string{"the server is being restarted and grants no ports", "ask again when the restart is done"}
	case ReasonInvalid:
		parts = []string{fmt.Sprintf("the request for a port is not valid: %v", e.Err)}
	default:
		parts = e.wanted()
	}
	return strings.Join(parts, "; ")
}

// shortage explains that no pair at all could be had.
func (e *RefusedError) shortage() []string {
	on := ""
	if e.Bind.IsValid() {
		on = " on " + e.Bind.String()
	}
	head := fmt.Sprintf("none reserved port in pool: rtp_proxy.port_range %s has %d pairs%s: %s", e.Range, e.Counts.Total(), on, e.Counts)
	if e.Reason == ReasonTimeout {
		head = fmt.Sprintf("the search for a pair of ports took longer than pool.lease_timeout after %d pairs that could not be bound (%v): rtp_proxy.port_range %s has %d pairs%s: %s",
			e.Tried, e.Err, e.Range, e.Counts.Total(), on, e.Counts)
	}
	parts := []string{head}
	if len(e.Largest) > 0 {
		owners := make([]string, len(e.Largest))
		for i, u := range e.Largest {
			owners[i] = fmt.Sprintf("%s %s %d", u.Purpose, u.App, u.Pairs)
		}
		parts = append(parts, "largest owners: "+strings.Join(owners, ", "))
	}
	if e.Retry > 0 {
		parts = append(parts, fmt.Sprintf("the next pair may come free in %s", roundUp(e.Retry)))
	}
	switch {
	case !e.Pending.IsZero():
		parts = append(parts, fmt.Sprintf("rtp_proxy.port_range = %s in the configuration waits for a full restart (berth restart)", e.Pending))
	case e.Counts[ports.Foreign] > e.Counts[ports.Leased]:
		parts = append(parts, "other programs hold most of the range: choose a range outside the system's ephemeral ports (berth doctor), then do a full restart (berth restart)")
	default:
		parts = append(parts, "end streams, or raise rtp_proxy.port_range and do a full restart (berth restart)")
	}
	return parts
}

// wanted explains why the one port that was asked for cannot be had.
func (e *RefusedError) wanted() []string {
	var head string
	cure := "ask for another port, or for any"
	switch e.Reason {
	case ReasonOutOfRange:
		head = fmt.Sprintf("port %d is not a pair of rtp_proxy.port_range %s", e.Port, e.Range)
		if e.Pending.Contains(e.Port) {
			cure = fmt.Sprintf("rtp_proxy.port_range = %s in the configuration waits for a full restart (berth restart)", e.Pending)
		}
	case ReasonLeased:
		head = fmt.Sprintf("port %d is leased to %s", e.Port, named(e.Holder))
	case ReasonDraining, ReasonCooling:
		head = fmt.Sprintf("port %d was released by %s and is kept back while packets for it may still arrive (%s)", e.Port, named(e.Holder), e.Reason)
	case ReasonForeign:
		head = fmt.Sprintf("port %d is held by another program: %v", e.Port, e.Err)
		cure = fmt.Sprintf("find it with `ss -lunp 'sport = :%d'`, or ask for another port", e.Port)
	case ReasonExcluded:
		head = fmt.Sprintf("port %d is excluded from the pool (pool.exclude, or one of the server's own listeners)", e.Port)
	default:
		head = fmt.Sprintf("port %d was refused: %s", e.Port, e.Reason)
	}
	parts := []string{head}
	if e.Retry > 0 {
		parts = append(parts, fmt.Sprintf("it may come free in %s", roundUp(e.Retry)))
	}
	return append(parts, cure)
}

func named(holder string) string {
	if holder == "" {
		return "someone else"
	}
	return holder
}

// roundUp keeps a hint readable, and never shows a wait as shorter than it is.
func roundUp(d time.Duration) time.Duration {
	const unit = 100 * time.Millisecond
	return (d + unit - 1) / unit * unit
}
