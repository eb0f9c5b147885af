package portpool

import (
	"net"
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/media"
	"berth/netio/ports"
)

// Purpose says what a lease is for; it is shown to operators and counted in metrics.
type Purpose string

// The purposes that exist.
const (
	PurposeRTSPPull    Purpose = "rtsp_pull"    // a proxy pulling one track over UDP
	PurposeRTSPPublish Purpose = "rtsp_publish" // a session receiving one track over UDP
	PurposeRTSPPlay    Purpose = "rtsp_play"    // a stream serving one track to its UDP viewers
	PurposeRTPReceive  Purpose = "rtp_receive"  // a GB28181 receiver
	PurposeRTPSend     Purpose = "rtp_send"     // a GB28181 sender
)

// LeasePair asks for one slot (an even/odd pair). Sent with ctx.Request by the actor that will hold the lease; Owner is that
// actor. The pool watches Owner and takes the lease back when it ends. Answered with [PairLeased] or [LeaseRefused], to
// Owner, never to a future. Asking again with the same Owner and ID answers with the same lease (idempotent); an
// owner that asks twice and releases at the first answer must expect the second one, which has the Epoch of the lease that it ended.
type LeasePair struct {
	Owner   *actor.PID
	ID      uint64          // chosen by the owner, unique among its own leases
	Stream  media.StreamKey // whose media it is; the same stream may take its own draining pair back
	Purpose Purpose
	Sockets ports.Sockets // which sides to bind
	Port    uint16        // 0 = any; else the even port of the wanted slot, which must lie in the range
	Fresh   bool          // with Port 0: do not take the stream's draining pair back, because its peer refuses the ports of old
	Bind    netip.Addr    // zero = pool.bind; so is a wildcard when pool.bind is a single address
	Peer    string        // who will send to it, for the log and the table; may be empty
}

// PairLeased grants a lease. The sockets stay the pool's: the owner reads, writes and sets deadlines, but never closes
// them; it ends its use (its read loops returned) and sends [ReleaseLease], or dies.
type PairLeased struct {
	ID    uint64
	Epoch uint64           // of this grant; stands in ReleaseLease so that a stale release frees nothing
	Port  uint16           // the even port; the odd one is Port+1
	RTP   *net.UDPConn     // nil when Sockets asked for no UDP
	RTCP  *net.UDPConn     // nil when Sockets asked for no UDP
	TCP   *net.TCPListener // nil when Sockets asked for no TCP; listens on Port
}

// LeaseRefused is the answer when no lease could be granted; nothing is held then.
type LeaseRefused struct {
	ID  uint64
	Err *RefusedError
}

// ReleaseLease ends a lease early. Sent by its owner after its read loops have returned. Not answered unless sent as a request, then with
// [LeaseReleased] once the slot is draining or closed. A release with a stale Epoch is ignored.
type ReleaseLease struct {
	Owner *actor.PID
	ID    uint64
	Epoch uint64
	Mute  bool // nothing has ever come in on the pair: when nothing else is left, a stranger may have it at once
}

// LeaseReleased acknowledges a [ReleaseLease] sent as a request.
type LeaseReleased struct{ ID uint64 }

// SetPendingRange tells the pool which range the configuration file asks for, when it differs from the one in force, so that
// a refusal can say what waits for a full restart. Sent by the reload actor; zero Range means nothing is pending.
type SetPendingRange struct{ Range ports.Range }

// StopGranting makes every further LeasePair be refused with reason Restarting. Sent by the engine at the start of its teardown.
type StopGranting struct{}

// Audit makes the pool compare its ledger with the owners of the leases and with the kernel's socket table, now instead of at the next minute. Answered with [Audited];
// requests that come while an audit is under way share its outcome.
type Audit struct{}

// Audited is what an audit found. Immutable.
type Audited struct {
	At    time.Time
	Took  time.Duration
	Slots int     // compared; slots that were leased or released meanwhile are left to the next audit
	Drift []Drift // what does not agree, in port order; empty when all is well
	Err   error   // why the kernel's socket table could not be read; ledger and owners were compared all the same
}

// DriftKind says in which way the books and the truth differ. Its text is stable: it is a metric label and stands in API replies.
type DriftKind string

// The kinds of drift.
const (
	DriftDeadOwner  DriftKind = "dead_owner"  // the holder of a lease has ended, and the pool was not told
	DriftNoOwner    DriftKind = "no_owner"    // the ledger and the list of holders contradict each other
	DriftForgotten  DriftKind = "forgotten"   // the pool has a socket open on a slot that is neither leased nor draining
	DriftNotBound   DriftKind = "not_bound"   // a socket that the pool counts on is closed
	DriftStillBound DriftKind = "still_bound" // this process holds a port of a slot, and the pool knows nothing of it
)

// DriftKinds returns all kinds, for metrics that want every label present.
func DriftKinds() []DriftKind {
	return []DriftKind{DriftDeadOwner, DriftNoOwner, DriftForgotten, DriftNotBound, DriftStillBound}
}

// Drift is one slot on which the books and the truth differ. It was seen twice, half a second apart.
type Drift struct {
	Port     uint16     // the even port
	Bind     netip.Addr // the local address, zero for pool.bind
	Kind     DriftKind
	State    ports.State // in the ledger, before the repair
	Owner    string      // PID of the holder, "" when there is none
	Stream   media.StreamKey
	Detail   string
	Repaired bool // false: it is left as it is because mending it could take a port from its user

	book *book
	slot ports.Slot
}

// AlarmLevel says how short the pool is. Its text is stable: it stands in hooks, API replies and metrics.
type AlarmLevel string

// The levels, calmest first. Each is left with hysteresis: the share of pairs in use must fall five points below what raised it.
const (
	LevelNormal    AlarmLevel = "normal"
	LevelHigh      AlarmLevel = "high"      // the share of pairs in use has reached pool.warn_at
	LevelExhausted AlarmLevel = "exhausted" // a lease was refused because no pair was left
)

// AlarmLevels returns all levels, calmest first.
func AlarmLevels() []AlarmLevel { return []AlarmLevel{LevelNormal, LevelHigh, LevelExhausted} }

// Alarm tells Options.Notify that the level has changed, up or down. Immutable.
type Alarm struct {
	Level    AlarmLevel
	Former   AlarmLevel
	At       time.Time
	Percent  int // share of the pairs that can be leased which is in use
	WarnAt   int // pool.warn_at
	Range    ports.Range
	Bind     netip.Addr  // whose pairs it is about: pool.bind, or another local address that leases have asked for
	Pending  ports.Range // the range that waits for a full restart; zero when none does
	Counts   ports.Counts
	Largest  []Usage // the largest owners, at most three
	Forecast ports.Forecast
	Text     string // for people: what is the matter and what to do
}

// PauseGranting makes every LeasePair be refused with reason Restarting while Paused is set: the server is drained for a full restart, which may yet be called off. Sent by the supervisor. Not answered.
type PauseGranting struct{ Paused bool }

// GetPool asks for the pool's state; answered with [Pool]. Slots is filled only when Detail is set.
type GetPool struct{ Detail bool }

// AddressUse is how the pairs of one local address stand that leases have asked for beside pool.bind, and that does not overlap with it.
type AddressUse struct {
	Bind      netip.Addr
	Counts    ports.Counts
	HighWater int
	Level     AlarmLevel
	Forecast  ports.Forecast
}

// Pool is a picture of the pool at one moment. Counts, HighWater, Forecast and History are of the pairs on pool.bind; counters of leases and events are of all.
type Pool struct {
	Range     ports.Range
	Pending   ports.Range // zero when nothing is pending
	Bind      netip.Addr
	Others    []AddressUse // other local addresses with leases; none as a rule
	Counts    ports.Counts // pairs by state; they add up to the number of pairs
	HighWater int          // most pairs leased at once since the pool was made
	Granted   uint64       // leases granted since the pool was made
	Reclaimed uint64       // leases that ended with their owner instead of by ReleaseLease
	Refused   map[string]uint64
	Conflicts uint64     // pairs found to be held by other programs
	Late      uint64     // packets heard on released pairs
	Short     bool       // the share of pairs in use has reached pool.warn_at
	Level     AlarmLevel // how short the pool is, on the address where it is shortest
	Alarms    uint64     // how often the level has changed
	Forecast  ports.Forecast
	History   []ports.Bucket // the last hour by minutes, the oldest first; only with Detail
	Audit     *Audited       // the last audit; nil before the first
	Audits    uint64         // audits since the pool was made
	Drift     uint64         // drift found by all of them
	Slots     []Slot         // those not free, in port order, pool.bind's first
}

// Slot describes one slot that is not free.
type Slot struct {
	Port    uint16
	Bind    netip.Addr // the local address when it is one of Pool.Others, else zero
	State   ports.State
	Owner   string // PID, "" unless leased
	Stream  media.StreamKey
	Purpose Purpose
	Sockets ports.Sockets // sides that are, or were, bound
	Peer    string        // who sends to it: of a released slot, who sent last after the release
	Since   time.Time     // when the slot entered its state
	Late    uint64        // packets heard after release
}
