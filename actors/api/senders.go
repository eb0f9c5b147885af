package api

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"berth/actors/sender"
	"berth/actors/store"
	"berth/actors/streams"
	"berth/media"
)

const (
	defaultCloseDelay  = 5 * time.Second // close_delay_ms when it is 0 or not given
	maxCloseDelay      = 10 * time.Minute
	defaultPayloadType = 96
	maxPayloadType     = 127
	formPS             = 1 // store.Sender.Form
	maxForm            = 2
	sendSlack          = 5 * time.Second // what a start may take beyond close_delay_ms: a name server, the pool
)

// startSendRtp sends a stream to an address, and answers when the socket is bound (UDP) or the connection stands (TCP).
func (s *service) startSendRtp(c *call) (object, error) {
	d, err := s.senderDefinition(c, store.SendActive)
	if err != nil {
		return nil, err
	}
	if d.Host, d.Port, err = c.args.destination(); err != nil {
		return nil, err
	}
	return s.start(c, d)
}

// startSendRtpPassive sends a stream to whoever comes to the port that it answers.
func (s *service) startSendRtpPassive(c *call) (object, error) {
	d, err := s.senderDefinition(c, store.SendPassive)
	if err != nil {
		return nil, err
	}
	return s.start(c, d)
}

// startSendRtpTalk sends a stream back to a device, over the socket on which it pushes.
func (s *service) startSendRtpTalk(c *call) (object, error) {
	d, err := s.senderDefinition(c, store.SendTalk)
	if err != nil {
		return nil, err
	}
	return s.start(c, d)
}

func (s *service) start(c *call, d store.Sender) (object, error) {
	recorded, err := c.args.boolean("from_mp4", false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.patience(d.CloseDelay + sendSlack)
	defer cancel()
	answer, err := ask[*sender.Started](ctx, s, c.engine.Senders, &sender.Start{Definition: d})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(answer.Err, sender.ErrNoSource) && recorded:
		return nil, notFound(answer.Err.Error() + ": it is not live, and this version records nothing that from_mp4 = 1 could send")
	case errors.Is(answer.Err, sender.ErrNoSource):
		return nil, notFound(answer.Err.Error())
	case errors.Is(answer.Err, sender.ErrInterrupted):
		return nil, engineDown()
	case answer.Err != nil:
		return nil, &callError{code: codeFailed, msg: answer.Err.Error(), extra: object{"local_port": answer.LocalPort}}
	}
	return object{"local_port": answer.LocalPort}, nil
}

// senderDefinition reads what the three ways to start a sender have in common.
func (s *service) senderDefinition(c *call, mode store.SenderMode) (store.Sender, error) {
	d := store.Sender{Mode: mode, Created: s.opts.Now()}
	var err error
	if d.Stream, err = c.sourceKey(); err != nil {
		return d, err
	}
	if d.SSRC, err = c.args.senderSSRC(); err != nil {
		return d, err
	}
	if d.Receive, err = c.receiveName(d.Stream); err != nil {
		return d, err
	}
	if d.LocalPort, err = c.args.port("src_port"); err != nil {
		return d, err
	}
	pt, err := c.args.small("pt", defaultPayloadType, maxPayloadType)
	if err != nil {
		return d, err
	}
	d.PayloadType = uint8(pt)
	if d.Form, err = c.args.form(); err != nil {
		return d, err
	}
	for name, flag := range map[string]*bool{
		"is_udp": &d.UDP, "only_audio": &d.OnlyAudio, "ssrc_multi_send": &d.Several, "enable_origin_recv_limit": &d.HoldSource,
	} {
		if *flag, err = c.args.boolean(name, false); err != nil {
			return d, err
		}
	}
	if d.RTCPTimeout, err = c.args.looseBool("udp_rtcp_timeout"); err != nil {
		return d, err
	}
	delay, err := c.args.integer("close_delay_ms", 0, 0, maxCloseDelay.Milliseconds())
	d.CloseDelay = time.Duration(delay) * time.Millisecond
	if delay == 0 {
		d.CloseDelay = defaultCloseDelay
	}
	return d, err
}

// sourceKey reads the stream that is sent.
func (c *call) sourceKey() (media.StreamKey, error) {
	key := media.StreamKey{VHost: c.vhost(), App: c.args.text("app"), Stream: c.args.text("stream")}
	return key, checkKey(key)
}

// receiveName reads recv_stream_id, which names a stream beside the source.
func (c *call) receiveName(source media.StreamKey) (string, error) {
	name := c.args.text("recv_stream_id")
	if name == "" {
		return "", nil
	}
	return name, checkKey(media.StreamKey{VHost: source.VHost, App: source.App, Stream: name})
}

// senderSSRC reads a sender's SSRC. It stays a text, because it is the sender's name too.
func (a args) senderSSRC() (string, error) {
	ssrc := strings.TrimSpace(a.text("ssrc"))
	if ssrc == "" {
		return "", nil
	}
	_, err := a.integer("ssrc", 0, 0, math.MaxUint32)
	return ssrc, err
}

// form reads type, and use_ps, which older clients write instead and which then counts.
func (a args) form() (int, error) {
	form, err := a.small("type", formPS, maxForm)
	if err != nil || strings.TrimSpace(a.text("use_ps")) == "" {
		return form, err
	}
	ps, err := a.boolean("use_ps", true)
	if ps {
		return formPS, err
	}
	return 0, err
}

// looseBool reads a truth value, and any number beside 1 as false: clients are about that write a time here, which ZLMediaKit takes for false.
func (a args) looseBool(name string) (bool, error) {
	if _, err := strconv.ParseFloat(strings.TrimSpace(a.text(name)), 64); err == nil && strings.TrimSpace(a.text(name)) != "1" {
		return false, nil
	}
	return a.boolean(name, false)
}

// patience is a context for a call that may take longer than others.
func (c *call) patience(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.request.Context(), max(d, askTimeout))
}

// stopSendRtp ends the senders of a stream, or the one with the SSRC.
func (s *service) stopSendRtp(c *call) (object, error) {
	key, err := c.sourceKey()
	if err != nil {
		return nil, err
	}
	ssrc, err := c.args.senderSSRC()
	if err != nil {
		return nil, err
	}
	answer, err := ask[*sender.Stopped](c.ctx, s, c.engine.Senders, &sender.Stop{Stream: key, SSRC: ssrc})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(answer.Err, sender.ErrNoSource):
		return nil, notFound(answer.Err.Error())
	case errors.Is(answer.Err, sender.ErrInterrupted):
		return nil, engineDown()
	case answer.Err != nil:
		return nil, failed("%v", answer.Err)
	}
	return object{}, nil
}

// listRtpSender lists the senders of a stream. ZLMediaKit's bytesSpeed and totalBytes are those of the last one; here they are those of all.
func (s *service) listRtpSender(c *call) (object, error) {
	key, err := c.sourceKey()
	if err != nil {
		return nil, err
	}
	answer, err := ask[*sender.Senders](c.ctx, s, c.engine.Senders, &sender.List{Stream: key})
	if err != nil {
		return nil, err
	}
	if len(answer.Senders) == 0 {
		found, err := s.list(c, streams.Filter{VHost: key.VHost, App: key.App, Stream: key.Stream}, false)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, notFound(sender.ErrNoSource.Error())
		}
	}
	var ssrcs []string
	var items []object
	speed, total := uint64(0), uint64(0)
	for i := range answer.Senders {
		snap := &answer.Senders[i]
		ssrcs = append(ssrcs, snap.SSRC)
		item := s.senderItem(snap)
		speed, total = speed+item["bytesSpeed"].(uint64), total+snap.Stats.Bytes
		items = append(items, item)
	}
	reply := object{"bytesSpeed": speed, "totalBytes": total}
	return withList(withList(reply, "data", ssrcs), "senders", items), nil
}

// formNames are the values of `form` by ZLMediaKit's numbers.
func formName(form int) string {
	switch form {
	case 0:
		return "es"
	case formPS:
		return "ps"
	}
	return "ts"
}

// senderItem is berth's own object for a sender.
func (s *service) senderItem(p *sender.Snapshot) object {
	d, stats := &p.Definition, &p.Stats
	transport := "tcp"
	if d.UDP {
		transport = "udp"
	}
	item := sockInfo(object{
		"ssrc": p.SSRC, "mode": string(d.Mode), "transport": transport, "form": formName(d.Form), "payload_type": d.PayloadType, "only_audio": d.OnlyAudio,
		"recv_stream_id": d.Receive, "since": p.Since.Unix(), "packets": stats.Packets, "totalBytes": stats.Bytes,
		"bytesSpeed":      s.senderMeter.speed(senderID(p), p.Since, stats.Bytes, s.opts.Now()),
		"packets_dropped": stats.Dropped, "jumps": stats.Jumps, "errors": stats.Errors, "last_report": nil,
	}, p.SSRC, p.Peer, p.Local)
	if !stats.LastReport.IsZero() {
		item["last_report"] = stats.LastReport.Unix()
	}
	return item
}

// senderID tells senders apart that share stream and SSRC.
func senderID(p *sender.Snapshot) string {
	return p.Stream.String() + " " + p.SSRC + " " + p.Local.String() + " " + p.Peer.String()
}
