package api

import (
	"context"
	"sync"

	"berth/actors"
	"berth/actors/proxy"
	"berth/actors/receiver"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media"
)

// filterOf reads schema, vhost, app and stream; empty fields match all. none is set when the schema is one that no stream has.
func filterOf(c *call) (filter streams.Filter, none bool) {
	schema := c.args.text("schema")
	return streams.Filter{
		VHost: c.args.text("vhost"), App: c.args.text("app"), Stream: c.args.text("stream"),
	}, schema != "" && schema != schemaRTSP
}

// oneStream reads the four arguments that name a stream. As in ZLMediaKit, vhost means nothing while general.enableVhost is off.
func oneStream(c *call) (filter streams.Filter, none bool) {
	filter, none = filterOf(c)
	filter.VHost = c.vhost()
	return filter, none
}

func (c *call) vhost() string {
	if v := c.args.text("vhost"); v != "" && c.config.General.EnableVhost {
		return v
	}
	return media.DefaultVHost
}

func (s *service) list(c *call, filter streams.Filter, readers bool) ([]stream.Snapshot, error) {
	answer, err := ask[*streams.Streams](c.ctx, s, c.engine.Streams, &streams.ListStreams{Filter: filter, Readers: readers})
	if err != nil {
		return nil, err
	}
	return answer.Streams, nil
}

// find returns the one stream that the call names.
func (s *service) find(c *call, readers bool) (*stream.Snapshot, error) {
	filter, none := oneStream(c)
	if !none {
		found, err := s.list(c, filter, readers)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return &found[0], nil
		}
	}
	return nil, notFound("can not find the stream")
}

func (s *service) getMediaList(c *call) (object, error) {
	filter, none := filterOf(c)
	if none {
		return object{}, nil
	}
	found, err := s.list(c, filter, false)
	if err != nil {
		return nil, err
	}
	items := make([]object, 0, len(found))
	for i := range found {
		items = append(items, s.mediaItem(&found[i], len(found) == 1))
	}
	return withList(object{}, "data", items), nil
}

func (s *service) isMediaOnline(c *call) (object, error) {
	_, err := s.find(c, false)
	if call, ok := err.(*callError); ok && call.code == codeNotFound {
		return object{"online": false}, nil
	}
	return object{"online": err == nil}, err
}

// getMediaInfo answers the stream's fields beside `code`, not in `data`.
func (s *service) getMediaInfo(c *call) (object, error) {
	found, err := s.find(c, false)
	if err != nil {
		return nil, err
	}
	return s.mediaItem(found, true), nil
}

// getMediaPlayerList answers an empty list, not an absent one, for a stream without viewers.
func (s *service) getMediaPlayerList(c *call) (object, error) {
	found, err := s.find(c, true)
	if err != nil {
		return nil, err
	}
	items := make([]object, 0, len(found.Readers))
	for i := range found.Readers {
		info, stats := &found.Readers[i].Info, &found.Readers[i].Stats
		items = append(items, sockInfo(object{
			"typeid":          sessionType(info.Protocol),
			"protocol":        info.Protocol,
			"since":           info.Since.Unix(),
			"bytes":           stats.Bytes,
			"packets":         stats.Packets,
			"packets_dropped": stats.Dropped,
			"jumps":           stats.Jumps,
		}, info.ID, info.Peer, info.Local))
	}
	return object{"data": items}, nil
}

func (s *service) closeStream(c *call) (object, error) {
	force, err := c.args.boolean("force", false)
	if err != nil {
		return nil, err
	}
	found, err := s.find(c, false)
	if err != nil {
		return nil, err
	}
	closed, err := s.closeOne(c.ctx, c.engine, found, force)
	if err != nil {
		return nil, err
	}
	if !closed {
		return nil, &callError{code: codeFailed, msg: "close failed", extra: object{"result": -1}}
	}
	return object{"result": 0, "msg": "success"}, nil
}

// closers bounds how many streams are closed at a time, since each that is pulled waits for the disk.
const closers = 16

func (s *service) closeStreams(c *call) (object, error) {
	force, err := c.args.boolean("force", false)
	if err != nil {
		return nil, err
	}
	filter, none := filterOf(c)
	if none {
		return object{"count_hit": 0, "count_closed": 0}, nil
	}
	found, err := s.list(c, filter, false)
	if err != nil {
		return nil, err
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		closed int
		broken error
		next   = make(chan *stream.Snapshot)
	)
	for range min(closers, len(found)) {
		wg.Go(func() {
			for snap := range next {
				ok, err := s.closeOne(c.ctx, c.engine, snap, force)
				mu.Lock()
				if ok {
					closed++
				}
				if err != nil {
					broken = err
				}
				mu.Unlock()
			}
		})
	}
	for i := range found {
		next <- &found[i]
	}
	close(next)
	wg.Wait()
	reply := object{"count_hit": len(found), "count_closed": closed}
	if broken != nil {
		failure := *asCallError(broken)
		failure.extra = reply
		return nil, &failure
	}
	return reply, nil
}

// closeOne ends a stream, with a pulled one its proxy, and with one that a device pushes its receiver: they would come back otherwise. false means that the stream has viewers and force was
// not set. A stream that has ended meanwhile counts as closed.
func (s *service) closeOne(ctx context.Context, e Engine, snap *stream.Snapshot, force bool) (bool, error) {
	exactly := streams.Filter{VHost: snap.Key.VHost, App: snap.Key.App, Stream: snap.Key.Stream}
	answer, err := ask[*streams.StreamsClosed](ctx, s, e.Streams, &streams.CloseStreams{
		Filter: exactly, Force: force, Reason: actors.ReasonKicked,
	})
	if err != nil {
		return false, err
	}
	if answer.Closed < answer.Hit {
		return false, nil
	}
	switch snap.Origin.Type {
	case stream.OriginRTPPush:
		// Its receiver hears of it and ends; asked again, it answers when its sockets are closed.
		_, err := ask[*receiver.StreamsClosed](ctx, s, e.Receivers, &receiver.CloseStreams{VHost: snap.Key.VHost, App: snap.Key.App, Stream: snap.Key.Stream})
		return err == nil, err
	case stream.OriginPull:
		removed, err := ask[*proxy.ProxyRemoved](ctx, s, e.Proxies, &proxy.RemoveProxy{Key: snap.Key.String()})
		if err != nil {
			return false, err
		}
		if removed.Err != nil {
			return false, failed("%s was closed, but its proxy stays and will pull it again: %v", snap.Key, removed.Err)
		}
	}
	return true, nil
}
