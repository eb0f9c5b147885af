package api

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"berth/actors/proxy"
	"berth/actors/store"
	"berth/media"
)

const (
	maxPullTimeout = 10 * time.Minute // largest timeout_sec
	maxRetries     = 1_000_000_000    // largest retry_count
	maxURLBytes    = 8192             // of a source URL
	maxNameBytes   = 1024             // of vhost, app and stream, each
	// pullSlack is what an attempt may take beyond its timeout: the change from UDP to TCP, publishing, and the store's disk.
	pullSlack = 15 * time.Second
)

// ownArg reports whether an argument of addStreamProxy has a field of its own in the definition; what else comes is kept as Params.
func ownArg(name string) bool {
	switch name {
	case "secret", "vhost", "app", "stream", "url", "retry_count", "force", "timeout_sec", "rtp_type", "rtsp_user", "rtsp_pwd",
		"enable_audio", "auto_close":
		return true
	}
	return false
}

// addStreamProxy starts a pull and answers when the first attempt has succeeded or failed.
func (s *service) addStreamProxy(c *call) (object, error) {
	definition, err := s.definition(c)
	if err != nil {
		return nil, err
	}
	// An attempt over UDP that falls back to TCP spends its time twice.
	ctx, cancel := context.WithTimeout(c.request.Context(), 2*cmp.Or(definition.Timeout, c.config.Proxy.ConnectTimeout)+pullSlack)
	defer cancel()
	answer, err := ask[*proxy.ProxyAdded](ctx, s, c.engine.Proxies, &proxy.AddProxy{Definition: definition})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, failed("the first attempt has neither succeeded nor failed in time; listStreamProxy shows how it goes on")
	case err != nil:
		return nil, err
	case answer.Err != nil:
		return nil, failed("%v", answer.Err)
	}
	return object{"data": object{"key": answer.Key}}, nil
}

// definition reads and checks the arguments of addStreamProxy.
func (s *service) definition(c *call) (store.Proxy, error) {
	d := store.Proxy{
		Key: media.StreamKey{VHost: c.vhost(), App: c.args.text("app"), Stream: c.args.text("stream")},
		URL: strings.TrimSpace(c.args.text("url")), User: c.args.text("rtsp_user"), Password: c.args.text("rtsp_pwd"),
		Params: furtherArgs(c.args), Created: s.opts.Now(),
	}
	if err := checkKey(d.Key); err != nil {
		return d, err
	}
	if err := checkSource(d.URL); err != nil {
		return d, err
	}
	retries, err := c.args.integer("retry_count", -1, -1, maxRetries)
	if err != nil {
		return d, err
	}
	rtpType, err := c.args.integer("rtp_type", 0, -1, 2)
	if err != nil {
		return d, err
	}
	if rtpType == 2 {
		return d, invalid("rtp_type = 2 (multicast) is not served by this version; write 0 for TCP, 1 for UDP, -1 for UDP and then TCP")
	}
	d.RetryCount, d.RTPType = int(retries), int(rtpType)
	// Zero means proxy.connect_timeout as it is at each attempt.
	if d.Timeout, err = c.args.seconds("timeout_sec", 0, maxPullTimeout); err != nil {
		return d, err
	}
	if d.Force, err = c.args.boolean("force", false); err != nil {
		return d, err
	}
	if d.EnableAudio, err = c.args.optionalBool("enable_audio"); err != nil {
		return d, err
	}
	d.AutoClose, err = c.args.optionalBool("auto_close")
	return d, err
}

func checkKey(k media.StreamKey) error {
	for _, part := range []struct{ name, value string }{{"vhost", k.VHost}, {"app", k.App}, {"stream", k.Stream}} {
		if len(part.value) > maxNameBytes {
			return invalid("%s is longer than %d bytes", part.name, maxNameBytes)
		}
		if i := strings.IndexFunc(part.value, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`?#\`, r) }); i >= 0 {
			return invalid("%s = %.80q has a character that no stream name may have (white space, control characters, ? # \\)", part.name, part.value)
		}
	}
	if !k.Valid() || strings.HasPrefix(k.Stream, "/") || strings.HasSuffix(k.Stream, "/") {
		return invalid("app = %.80q and stream = %.80q name no stream: app has no slash, stream does not begin or end with one", k.App, k.Stream)
	}
	return nil
}

// checkSource refuses what no pull can be made of, before a definition of it is stored.
func checkSource(source string) error {
	if len(source) > maxURLBytes {
		return invalid("url is longer than %d bytes", maxURLBytes)
	}
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok || rest == "" {
		return invalid("url is no URL; write rtsp://host[:port]/path")
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "rtsp", "rtsps":
	case "rtmp", "rtmps", "http", "https", "srt", "webrtc", "webrtcs":
		return invalid("url scheme %s is not served by this version; rtsp and rtsps are", scheme)
	default:
		return invalid("url scheme %.20q is not known; rtsp and rtsps are", scheme)
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("url has control characters")
	}
	return nil
}

// furtherArgs are the arguments without a field of their own, nil when there are none.
func furtherArgs(a args) map[string]string {
	var further map[string]string
	for key, v := range a.values {
		if ownArg(key) {
			continue
		}
		if further == nil {
			further = map[string]string{}
		}
		further[v.name] = v.value
	}
	return further
}

// delStreamProxy answers success with flag false for an unknown key, as ZLMediaKit does.
func (s *service) delStreamProxy(c *call) (object, error) {
	answer, err := ask[*proxy.ProxyRemoved](c.ctx, s, c.engine.Proxies, &proxy.RemoveProxy{Key: c.args.text("key")})
	if err != nil {
		return nil, err
	}
	if answer.Err != nil {
		return nil, failed("the proxy was not deleted: %v", answer.Err)
	}
	return object{"data": object{"flag": answer.Found}}, nil
}

func (s *service) proxies(ctx context.Context, e Engine, key string) ([]proxy.Snapshot, error) {
	answer, err := ask[*proxy.Proxies](ctx, s, e.Proxies, &proxy.ListProxies{Key: key})
	if err != nil {
		return nil, err
	}
	return answer.Proxies, nil
}

func (s *service) listStreamProxy(c *call) (object, error) {
	key := c.args.text("key")
	found, err := s.proxies(c.ctx, c.engine, key)
	if err != nil {
		return nil, err
	}
	if key != "" && len(found) == 0 {
		return nil, &callError{code: codeException, msg: "key not found: " + key}
	}
	items := make([]object, 0, len(found))
	for i := range found {
		item := s.proxyItem(&found[i])
		item["key"] = found[i].Key
		items = append(items, item)
	}
	return withList(object{}, "data", items), nil
}

func (s *service) getProxyInfo(c *call) (object, error) {
	found, err := s.proxies(c.ctx, c.engine, c.args.text("key"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notFound("can not find the proxy")
	}
	return object{"data": s.proxyItem(&found[0])}, nil
}

// proxyItem is ZLMediaKit's object for a pull, with what an operator wants to know beyond it.
func (s *service) proxyItem(p *proxy.Snapshot) object {
	now := s.opts.Now()
	item := object{
		"url":        p.Definition.URL,
		"status":     1,
		"status_str": p.Status,
		"liveSecs":   int64(0), "rePullCount": p.Repulls,
		"totalReaderCount": 0, "bytesSpeed": uint64(0), "totalBytes": uint64(0),
		"src":         object{"vhost": p.Stream.VHost, "app": p.Stream.App, "stream": p.Stream.Stream, "params": ""},
		"tracks":      []object{},
		"rtp_type":    p.Definition.RTPType,
		"transport":   p.Transport,
		"retry_count": p.Definition.RetryCount,
		"failures":    p.Failures,
		"created":     p.Definition.Created.Unix(),
	}
	if p.Playing {
		item["status"] = 0
	}
	if !p.Since.IsZero() {
		item["liveSecs"] = wholeSeconds(now.Sub(p.Since))
	}
	if !p.RetryAt.IsZero() {
		item["retry_in_ms"] = max(0, p.RetryAt.Sub(now)).Milliseconds()
	}
	if live := p.Live; live != nil {
		item["totalReaderCount"], item["bytesSpeed"], item["totalBytes"] = live.ReaderCount, s.speed(live, now), live.Stats.Bytes
		item["tracks"] = trackItems(live, true)
	}
	return item
}
