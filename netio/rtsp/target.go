package rtsp

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"berth/media"
)

// trackControl is the track URL's last element in our SDP, before the track's index.
const trackControl = "trackID="

// maxNameBytes bounds virtual host, application and stream name, each; names come from strangers and appear in logs, lists and metrics.
const maxNameBytes = 1024

// target is what a request URL names.
type target struct {
	key     media.StreamKey
	path    string // decoded, without trailing slash and track
	params  string // query without '?' and track
	control string // the track element, "" when the URL names the whole stream
	base    string // scheme://host/path, escaped, without trailing slash and query
}

// parseTarget takes a request URL apart. With a query, ffmpeg appends the track to the query and GStreamer to the path; trailing slashes come
// from clients that take Content-Base for the stream's URL. fallbackHost stands in for the host of a URL that is only a path.
func parseTarget(u *base.URL, virtualHosts bool, fallbackHost string) (target, bool) {
	if u == nil {
		return target{}, false
	}
	t := target{path: u.Path, params: u.RawQuery}
	if i := strings.LastIndexByte(t.params, '/'); i >= 0 && (i == len(t.params)-1 || isTrackControl(t.params[i+1:])) {
		t.control, t.params = t.params[i+1:], t.params[:i]
	}
	t.path = strings.TrimRight(t.path, "/")
	if i := strings.LastIndexByte(t.path, '/'); i >= 0 && t.control == "" && isTrackControl(t.path[i+1:]) {
		t.control, t.path = t.path[i+1:], strings.TrimRight(t.path[:i], "/")
	}
	key, ok := media.ParsePath(t.path)
	if !ok || hasControl(t.path) {
		return target{}, false
	}
	if virtualHosts {
		key.VHost = virtualHost(u.Hostname())
	}
	if max(len(key.VHost), len(key.App), len(key.Stream)) > maxNameBytes {
		return target{}, false
	}
	t.key = key
	host := u.Host
	if host == "" {
		host = fallbackHost
	}
	t.base = (&url.URL{Scheme: u.Scheme, Host: host, Path: t.path}).String()
	return t, true
}

// virtualHost returns the virtual host that a URL's host names: an address or localhost names the default one.
func virtualHost(host string) string {
	if _, err := netip.ParseAddr(host); err == nil || host == "" || strings.EqualFold(host, "localhost") {
		return media.DefaultVHost
	}
	return strings.ToLower(host)
}

func isTrackControl(s string) bool {
	_, ok := trackIndex(s)
	return ok
}

// trackIndex reads the index out of a track element of ours.
func trackIndex(control string) (int, bool) {
	if len(control) <= len(trackControl) || !strings.EqualFold(control[:len(trackControl)], trackControl) {
		return 0, false
	}
	n, err := strconv.ParseUint(control[len(trackControl):], 10, 8)
	return int(n), err == nil
}

// announcedTrack finds the announced media that a SETUP URL names, -1 when there is none. controls are the SDP's a=control values, in order; path and params
// are those of the ANNOUNCE URL. The forms are: an absolute control, the control after the path, the control after the query.
func announcedTrack(u *base.URL, path, params string, controls []string) int {
	at := strings.TrimRight(u.Path, "/")
	for i, control := range controls {
		if strings.Contains(control, "://") {
			if c, bad := parseURL(control); bad == nil && strings.TrimRight(c.Path, "/") == at && c.RawQuery == u.RawQuery {
				return i
			}
			continue
		}
		control = strings.Trim(control, "/")
		if control == "" || control == "*" {
			continue
		}
		plain, err := url.PathUnescape(control)
		if err != nil {
			plain = control
		}
		if at == path+"/"+control || at == path+"/"+plain || at == path && u.RawQuery == params+"/"+control {
			return i
		}
	}
	return unnamedTrack(at, path, controls)
}

// unnamedTrack serves publishers whose SDP names no tracks: the only one, or by a track element of our own form.
func unnamedTrack(at, path string, controls []string) int {
	if at == path && len(controls) == 1 {
		return 0
	}
	tail, ok := strings.CutPrefix(at, path+"/")
	if !ok {
		return -1
	}
	if i, ok := trackIndex(tail); ok && i < len(controls) && controls[i] == "" {
		return i
	}
	return -1
}
