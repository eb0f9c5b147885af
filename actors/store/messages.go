package store

import (
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
	Proxies   []Proxy // in key order
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
}
