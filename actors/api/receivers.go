package api

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"time"

	"berth/actors/receiver"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media"
)

const (
	defaultReceiverApp = "rtp"            // where app is not given
	defaultPause       = 5 * time.Minute  // of pauseRtpCheck
	maxPause           = 30 * 24 * 3600   // seconds
	connectSlack       = 15 * time.Second // connectRtpServer tries for five seconds, after a name server has been asked
	maxHostBytes       = 253              // of a name in DNS
)

// receiverKey reads the arguments that name a receiver.
func (c *call) receiverKey() (media.StreamKey, error) {
	app := c.args.text("app")
	if app == "" {
		app = defaultReceiverApp
	}
	key := media.StreamKey{VHost: c.vhost(), App: app, Stream: c.args.text("stream_id")}
	return key, checkKey(key)
}

// openRtpServer opens a receiver and answers when its sockets are bound.
func (s *service) openRtpServer(c *call) (object, error) {
	d, err := s.receiverDefinition(c)
	if err != nil {
		return nil, err
	}
	if d.ReusePort, err = c.args.boolean("re_use_port", false); err != nil {
		return nil, err
	}
	if d.SSRC, err = c.args.ssrc("ssrc"); err != nil {
		return nil, err
	}
	return s.open(c, d)
}

// openRtpServerMultiplex opens a receiver of many streams, each named by its SSRC.
func (s *service) openRtpServerMultiplex(c *call) (object, error) {
	d, err := s.receiverDefinition(c)
	if err != nil {
		return nil, err
	}
	d.Multiplex, d.ReusePort = true, true
	return s.open(c, d)
}

func (s *service) open(c *call, d store.Receiver) (object, error) {
	answer, err := ask[*receiver.Opened](c.ctx, s, c.engine.Receivers, &receiver.Open{Definition: d})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(answer.Err, receiver.ErrExists):
		return nil, invalid("%v", answer.Err)
	case errors.Is(answer.Err, receiver.ErrInterrupted):
		return nil, engineDown()
	case answer.Err != nil:
		return nil, answer.Err
	}
	return object{"port": answer.Port}, nil
}

// receiverDefinition reads what the two ways to open a receiver have in common.
func (s *service) receiverDefinition(c *call) (store.Receiver, error) {
	key, err := c.receiverKey()
	if err != nil {
		return store.Receiver{}, err
	}
	d := store.Receiver{Key: key, Created: s.opts.Now()}
	// ZLMediaKit takes a port that is too large for none, and opens a random one that nobody has asked for.
	if d.Port, err = c.args.port("port"); err != nil {
		return d, err
	}
	if d.TCPMode, err = c.args.small("tcp_mode", 0, 2); err != nil {
		return d, err
	}
	if d.OnlyTrack, err = c.args.small("only_track", 0, 2); err != nil {
		return d, err
	}
	// Both are what older clients write.
	tcp, err := c.args.boolean("enable_tcp", false)
	if err != nil {
		return d, err
	}
	if tcp && d.TCPMode == 0 {
		d.TCPMode = 1
	}
	audio, err := c.args.boolean("only_audio", false)
	if err != nil {
		return d, err
	}
	if audio {
		d.OnlyTrack = 1
	}
	d.LocalIP, err = c.args.address("local_ip")
	return d, err
}

// connectRtpServer makes a receiver of tcp_mode 2 connect, and answers when the connection stands or has failed.
func (s *service) connectRtpServer(c *call) (object, error) {
	key, err := c.receiverKey()
	if err != nil {
		return nil, err
	}
	host, port, err := c.args.destination()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.patience(connectSlack)
	defer cancel()
	answer, err := ask[*receiver.Connected](ctx, s, c.engine.Receivers, &receiver.Connect{Key: key, Host: host, Port: port})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(answer.Err, receiver.ErrNotFound):
		return nil, failed("can not find the stream")
	case errors.Is(answer.Err, receiver.ErrInterrupted):
		return nil, engineDown()
	case answer.Err != nil:
		return nil, failed("%v", answer.Err)
	}
	return object{}, nil
}

// closeRtpServer answers success with hit 0 for an unknown receiver, as ZLMediaKit does.
func (s *service) closeRtpServer(c *call) (object, error) {
	key, err := c.receiverKey()
	if err != nil {
		return nil, err
	}
	answer, err := ask[*receiver.Closed](c.ctx, s, c.engine.Receivers, &receiver.Close{Key: key})
	if err != nil {
		return nil, err
	}
	hit := 0
	if answer.Found {
		hit = 1
	}
	return object{"hit": hit}, nil
}

func (s *service) updateRtpServerSSRC(c *call) (object, error) {
	key, err := c.receiverKey()
	if err != nil {
		return nil, err
	}
	ssrc, err := c.args.ssrc("ssrc")
	if err != nil {
		return nil, err
	}
	return s.change(c, &receiver.SetSSRC{Key: key, SSRC: ssrc})
}

func (s *service) pauseRtpCheck(c *call) (object, error) {
	key, err := c.receiverKey()
	if err != nil {
		return nil, err
	}
	pause, err := c.args.seconds("pause_seconds", defaultPause, maxPause*time.Second)
	if err != nil {
		return nil, err
	}
	return s.change(c, &receiver.PauseCheck{Key: key, For: pause})
}

func (s *service) resumeRtpCheck(c *call) (object, error) {
	key, err := c.receiverKey()
	if err != nil {
		return nil, err
	}
	return s.change(c, &receiver.PauseCheck{Key: key})
}

// change sends a command that is answered with Done.
func (s *service) change(c *call, command any) (object, error) {
	answer, err := ask[*receiver.Done](c.ctx, s, c.engine.Receivers, command)
	switch {
	case err != nil:
		return nil, err
	case errors.Is(answer.Err, receiver.ErrNotFound):
		return nil, notFound(answer.Err.Error())
	case errors.Is(answer.Err, receiver.ErrInterrupted):
		return nil, engineDown()
	case answer.Err != nil:
		return nil, failed("%v", answer.Err)
	}
	return object{}, nil
}

// getRtpInfo says where the media of a stream comes from. Like ZLMediaKit's it knows streams under the name they are published by; a receiver whose media has
// another name is found by the name it was opened with too. One that has had no media does not exist for it: clients open it anew then.
func (s *service) getRtpInfo(c *call) (object, error) {
	key, err := c.receiverKey()
	if err != nil {
		return nil, err
	}
	found, err := s.list(c, streams.Filter{VHost: key.VHost, App: key.App, Stream: key.Stream}, false)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if o := &found[i].Origin; o.Type == stream.OriginRTPPush && found[i].Online {
			return sockInfo(object{"exist": true}, o.ID, o.Peer, o.Local), nil
		}
	}
	list, err := s.receivers(c, key)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if r := &list[i]; r.Stream.Valid() && r.Peer.IsValid() {
			return sockInfo(object{"exist": true}, r.Stream.Stream, r.Peer, r.Local), nil
		}
	}
	return object{"exist": false}, nil
}

func (s *service) receivers(c *call, key media.StreamKey) ([]receiver.Snapshot, error) {
	answer, err := ask[*receiver.Receivers](c.ctx, s, c.engine.Receivers, &receiver.List{Key: key})
	if err != nil {
		return nil, err
	}
	return answer.Receivers, nil
}

// listRtpServer lists what has been opened; with all also the devices on rtp_proxy.port, which ZLMediaKit leaves out and its clients would close.
func (s *service) listRtpServer(c *call) (object, error) {
	all, err := c.args.boolean("all", false)
	if err != nil {
		return nil, err
	}
	list, err := s.receivers(c, media.StreamKey{})
	if err != nil {
		return nil, err
	}
	items := make([]object, 0, len(list))
	for i := range list {
		if all || !list[i].Shared {
			items = append(items, receiverItem(&list[i], s.opts.Now()))
		}
	}
	return withList(object{}, "data", items), nil
}

// receiverItem is ZLMediaKit's object for a receiver, with what an operator wants to know beyond it.
func receiverItem(r *receiver.Snapshot, now time.Time) object {
	d, stats := &r.Definition, &r.Stats
	item := sockInfo(object{
		"vhost": r.Key.VHost, "app": r.Key.App, "stream_id": r.Key.Stream, "port": r.Port, "ssrc": d.SSRC, "tcp_mode": d.TCPMode, "only_track": d.OnlyTrack,
		"re_use_port": d.ReusePort, "multiplex": d.Multiplex, "shared": r.Shared, "restored": r.Restored,
		"since": r.Since.Unix(), "transport": r.Transport, "published": "", "payload": stats.Payload, "media_ssrc": stats.SSRC,
		"packets": stats.Packets, "bytes": stats.Bytes, "frames": stats.Frames, "lost": stats.Lost, "reordered": stats.Reordered, "late": stats.Late,
		"strangers": stats.Strangers, "other_ssrc": stats.OtherSSRC, "invalid": stats.Invalid, "damaged": stats.Damaged, "unwatched": stats.Unwatched,
		"skipped_bytes": stats.Skipped, "restarts": stats.Restarts, "relocks": stats.Relocks, "jitter_ms": float64(stats.Jitter.Microseconds()) / 1000,
		"silent_ms": nil, "check_paused_sec": int64(0),
	}, r.Key.Stream, r.Peer, r.Local)
	if r.Stream.Valid() {
		item["published"] = r.Stream.String()
	}
	if !stats.LastPacket.IsZero() {
		item["silent_ms"] = max(0, now.Sub(stats.LastPacket)).Milliseconds()
	}
	if r.Paused.After(now) {
		item["check_paused_sec"] = int64(math.Ceil(r.Paused.Sub(now).Seconds()))
	}
	return item
}

// ssrc reads an SSRC, which is written in decimal; empty is 0, which means any.
func (a args) ssrc(name string) (uint32, error) {
	n, err := a.integer(name, 0, 0, math.MaxUint32)
	return uint32(n), err
}

// small reads a number from 0 to hi.
func (a args) small(name string, fallback, hi int64) (int, error) {
	n, err := a.integer(name, fallback, 0, hi)
	return int(n), err
}

// destination reads dst_url, which is a name or an address and no URL, and dst_port.
func (a args) destination() (host string, port uint16, err error) {
	host = strings.TrimSpace(a.text("dst_url"))
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err != nil && !hostName(host) {
		return "", 0, invalid("dst_url = %.80q is neither a host name nor an IP address", host)
	}
	if port, err = a.port("dst_port"); err == nil && port == 0 {
		err = invalid("dst_port = 0 is no port to connect or send to")
	}
	return host, port, err
}

// hostName reports whether a text can be asked for in DNS. Underscores occur in the names of containers.
func hostName(host string) bool {
	return host != "" && len(host) <= maxHostBytes && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_' && r < 0x80
	})
}
