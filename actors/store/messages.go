package store

import (
	"net/netip"
	"time"

	"berth/actors/portpool"
	"berth/media"
)

// Proxy is the durable definition of a pull, as addStreamProxy gave it.
type Proxy struct {
	Key         media.StreamKey   `json:"key"`
	URL         string            `json:"url"`
	RetryCount  int               `json:"retry_count"`    // -1 = for ever, 0 = never, n = after n failures in a row it is given up (and its definition deleted)
	Timeout     time.Duration     `json:"timeout"`        // of each attempt; 0 means proxy.connect_timeout
	RTPType     int               `json:"rtp_type"`       // 0 TCP, 1 UDP (leased pairs), -1 UDP first and then TCP
	User        string            `json:"user,omitempty"` // overrides what stands in URL
	Password    string            `json:"password,omitempty"`
	Force       bool              `json:"force"`                  // keep it even when the first attempt fails
	EnableAudio *bool             `json:"enable_audio,omitempty"` // nil = protocol.enable_audio
	AutoClose   *bool             `json:"auto_close,omitempty"`   // nil = protocol.auto_close
	Params      map[string]string `json:"params,omitempty"`       // further API arguments, kept as given
	Ports       []uint16          `json:"ports,omitempty"`        // last leased even ports by track, asked for again after a restart
	Created     time.Time         `json:"created"`
}

// PutProxy stores a definition (new or changed). Answered with [Done] after it is on disk.
type PutProxy struct{ Proxy Proxy }

// DeleteProxy removes a definition. Answered with [Done] after it is on disk; deleting what is not there is no error.
type DeleteProxy struct{ Key media.StreamKey }

// ListProxies asks for all definitions; answered with [Proxies].
type ListProxies struct{}

// Proxies answers [ListProxies], in key order. The definitions are shared: read them only.
type Proxies struct {
	Proxies []Proxy
	Err     error // why the definitions could not be read; more may come with [Reopened]
}

// Receiver is the definition of an RTP receiver, as openRtpServer gave it.
type Receiver struct {
	Key       media.StreamKey `json:"key"`
	Port      uint16          `json:"port"`     // as asked for; 0 = any of the pool
	TCPMode   int             `json:"tcp_mode"` // 0 UDP, 1 UDP and TCP passive, 2 TCP active
	ReusePort bool            `json:"re_use_port"`
	SSRC      uint32          `json:"ssrc"`       // 0 = any; as changed last
	OnlyTrack int             `json:"only_track"` // 0 both, 1 audio, 2 video
	LocalIP   netip.Addr      `json:"local_ip"`   // zero = pool.bind
	Multiplex bool            `json:"multiplex"`  // openRtpServerMultiplex: many streams, each named by its SSRC
	Host      string          `json:"host"`       // of a TCP active one: where it was connected to last; "" before
	HostPort  uint16          `json:"host_port"`
	Leased    uint16          `json:"leased"` // the even port that it has, asked for again after a restart; 0 when it is not the pool's
	Created   time.Time       `json:"created"`
}

// PutReceiver stores a definition, DeleteReceiver removes one. Both are answered with [Done] after they are on disk, when they were sent as requests. What is put and deleted before
// the disk was reached costs no write. Those that were no requests wait a moment (Options.Linger) for company; while the disk cannot be written they are kept and tried again, and
// they are seen by queries at once.
type (
	// PutReceiver stores a definition, new or changed.
	PutReceiver struct{ Receiver Receiver }
	// DeleteReceiver removes the definition with that key; one that is not there is no error.
	DeleteReceiver struct{ Key media.StreamKey }
)

// ListReceivers asks for all definitions; answered with [Receivers].
type ListReceivers struct{}

// Receivers answers [ListReceivers], in key order. The definitions are shared: read them only.
type Receivers struct {
	Receivers []Receiver
	Err       error
}

// Sender is the definition of an RTP sender, as the startSendRtp family gave it.
type Sender struct {
	Stream      media.StreamKey `json:"stream"`
	SSRC        string          `json:"ssrc"`    // decimal, as the API gave it; the sender's name together with Stream
	Mode        SenderMode      `json:"mode"`    //
	UDP         bool            `json:"udp"`     // else TCP
	Host        string          `json:"host"`    // of an active one
	Port        uint16          `json:"port"`    // of an active one
	LocalPort   uint16          `json:"local"`   // as asked for; 0 = any of the pool (UDP, passive TCP) or of the system (active TCP)
	PayloadType uint8           `json:"pt"`      //
	Form        int             `json:"form"`    // 0 elementary stream, 1 PS, 2 TS
	OnlyAudio   bool            `json:"audio"`   //
	RTCPTimeout bool            `json:"rtcp"`    // UDP: ends without a receiver report for 30 s
	Receive     string          `json:"receive"` // recv_stream_id: also receive on the socket, into this stream; for a talk the receiver whose socket is used
	Several     bool            `json:"several"` // ssrc_multi_send: others with the same SSRC stay
	CloseDelay  time.Duration   `json:"close_delay"`
	HoldSource  bool            `json:"hold_source"` // enable_origin_recv_limit
	Leased      uint16          `json:"leased"`      // the even port that it has, asked for again after a restart; 0 when it is not the pool's
	Created     time.Time       `json:"created"`
}

// SenderMode says who opens the way of a sender.
type SenderMode string

// The modes of a sender.
const (
	SendActive  SenderMode = "active"  // startSendRtp: to a known address
	SendPassive SenderMode = "passive" // startSendRtpPassive: to whoever comes first
	SendTalk    SenderMode = "talk"    // startSendRtpTalk: over the socket on which a device pushes
)

// PutSender stores a definition, DeleteSender removes one. As with receivers. A sender is known by its stream and SSRC, those with Several set also by Host and Port, or by their own port when they are passive.
type (
	// PutSender stores a definition, new or changed.
	PutSender struct{ Sender Sender }
	// DeleteSender removes a definition; one that is not there is no error.
	DeleteSender struct {
		Stream media.StreamKey
		SSRC   string
		Port   uint16 // Host and Port tell apart those that share an SSRC (Several), see [Sender.Place]; zero values otherwise
		Host   string
	}
)

// ListSenders asks for all definitions; answered with [Senders].
type ListSenders struct{}

// Senders answers [ListSenders], in order of stream and SSRC. The definitions are shared: read them only.
type Senders struct {
	Senders []Sender
	Err     error
}

// PutOverrides sets runtime configuration overrides; a nil value drops one. Answered with [Done] after it is on disk.
type PutOverrides struct{ Values map[string]*string }

// GetOverrides asks for all runtime overrides; answered with [Overrides].
type GetOverrides struct{}

// Overrides answers [GetOverrides]. The map is the receiver's.
type Overrides struct {
	Values map[string]string
	Err    error // why they could not be read
}

// PutCooling keeps the pairs whose old peers may still be sending when the process ends, in place of those kept before. Answered with [Done] after it is on disk.
type PutCooling struct{ Pairs []portpool.Remembered }

// GetCooling asks for them; answered with [Cooling].
type GetCooling struct{}

// Cooling answers [GetCooling]. The slice is the receiver's. Records that cannot be read are left out: they are worth seconds.
type Cooling struct {
	Pairs []portpool.Remembered
	Err   error // why they could not be read
}

// Done answers every write. A nil Err means that it is on disk; any error means that nothing of it counts: [NotDurableError] while there is no database,
// [ErrBusy], [ErrClosed], a write error such as a full disk, or an invalid argument.
type Done struct{ Err error }

// Reopened is sent to Options.Notify when a database that could not be read at start has been opened since: these definitions may not
// be running yet.
type Reopened struct {
	Proxies   []Proxy    // in key order
	Receivers []Receiver // in key order
	Senders   []Sender   // in order of stream and SSRC
	Overrides map[string]string
}

// GetHealth asks for [Health].
type GetHealth struct{}

// Health says whether definitions are durable right now.
type Health struct {
	Path    string // of the database file
	Durable bool   // false: running in memory, because of Err
	Err     error  // while Durable: why the last write failed, nil after the next good one
	Moved   string // where a damaged file was set aside, "" if none was
	Report  string // what was damaged and what was saved, "" if nothing was
	Waiting int    // changes on their way to the disk, or waiting for one that can be written
	Dropped uint64 // changes that nobody was told about and that found no room to wait for the disk
}
