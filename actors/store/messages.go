package store

import (
	"time"

	"berth/media"
)

// Proxy is the durable definition of a pull, as addStreamProxy gave it.
type Proxy struct {
	Key         media.StreamKey   `json:"key"`
	URL         string            `json:"url"`
	RetryCount  int               `json:"retry_count"`    // -1 = for ever, 0 = never, n = after n failures in a row it is given up (and its definition deleted)
	Timeout     time.Duration     `json:"timeout"`        // of each attempt
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

// Proxies answers [ListProxies], in key order.
type Proxies struct {
	Proxies []Proxy
	Err     error
}

// PutOverrides sets runtime configuration overrides; a nil value drops one. Answered with [Done] after it is on disk.
type PutOverrides struct{ Values map[string]*string }

// Done answers every write.
type Done struct{ Err error }

// GetHealth asks for [Health].
type GetHealth struct{}

// Health says whether definitions are durable right now.
type Health struct {
	Path    string // of the database file
	Durable bool   // false: running in memory, because of Err
	Err     error
	Moved   string // where a damaged file was set aside, "" if none was
}
