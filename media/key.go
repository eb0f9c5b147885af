package media

import "strings"

// DefaultVHost is the virtual host of every stream unless `general.enableVhost` is set, spelled as ZLMediaKit spells it.
const DefaultVHost = "__defaultVhost__"

// StreamKey names a stream: virtual host, application and stream name, as in rtsp://host/app/stream.
type StreamKey struct {
	VHost  string // DefaultVHost unless virtual hosts are enabled
	App    string // first path element, never empty, has no slash
	Stream string // the rest of the path, never empty, may have slashes
}

// String returns `vhost/app/stream`, the form of proxy keys in the HTTP API.
func (k StreamKey) String() string { return k.VHost + "/" + k.App + "/" + k.Stream }

// Path returns `app/stream`, the form used in logs and URLs.
func (k StreamKey) Path() string { return k.App + "/" + k.Stream }

// Valid reports whether the key can name a stream.
func (k StreamKey) Valid() bool {
	return k.VHost != "" && k.App != "" && k.Stream != "" && !strings.Contains(k.App, "/")
}

// ParsePath splits a URL path (`/app/stream`, leading and trailing slashes ignored, no query) into a key in DefaultVHost. ok is false when it names no stream.
func ParsePath(path string) (key StreamKey, ok bool) {
	app, stream, _ := strings.Cut(strings.Trim(path, "/"), "/")
	key = StreamKey{VHost: DefaultVHost, App: app, Stream: stream}
	return key, key.Valid()
}
