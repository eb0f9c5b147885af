package api

import (
	"context"

	"berth/actors/portpool"
	"berth/actors/proxy"
	"berth/actors/receiver"
	"berth/actors/reload"
	"berth/actors/rtspd"
	"berth/actors/sender"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media/slab"
)

// picture is what all parts say at about the same moment. A part that does not answer in time is absent and named in silent.
type picture struct {
	engine     bool // there is one
	generation uint64
	started    int64 // unix time
	pool       *portpool.Pool
	streams    []stream.Snapshot
	memory     slab.Stats
	proxies    []proxy.Snapshot
	receivers  []receiver.Snapshot
	senders    []sender.Snapshot
	sessions   []rtspd.SessionInfo
	config     *reload.State
	store      *store.Health
	silent     map[string]bool // by part: true when it did not answer
}

// picture asks all parts at once.
func (s *service) picture(ctx context.Context) *picture {
	p := &picture{silent: map[string]bool{}}
	var engine Engine
	engine, p.engine = s.opts.Engine()
	var poolErr, streamsErr, proxiesErr, receiversErr, sendersErr, sessionsErr, configErr, storeErr error
	questions := []func(){
		func() { p.config, configErr = ask[*reload.State](ctx, s, s.opts.Reload, &reload.GetConfig{}) },
		func() { p.store, storeErr = s.durable(ctx) },
	}
	if p.engine {
		p.generation, p.started = engine.Generation, engine.Started.Unix()
		questions = append(questions,
			func() { p.pool, poolErr = ask[*portpool.Pool](ctx, s, engine.Pool, &portpool.GetPool{}) },
			func() { p.proxies, proxiesErr = s.proxies(ctx, engine, "") },
			func() {
				var answer *streams.Streams
				if answer, streamsErr = ask[*streams.Streams](ctx, s, engine.Streams, &streams.ListStreams{Readers: true}); streamsErr == nil {
					p.streams, p.memory = answer.Streams, answer.Memory
				}
			},
			func() {
				var answer *receiver.Receivers
				if answer, receiversErr = ask[*receiver.Receivers](ctx, s, engine.Receivers, &receiver.List{}); receiversErr == nil {
					p.receivers = answer.Receivers
				}
			},
			func() {
				var answer *sender.Senders
				if answer, sendersErr = ask[*sender.Senders](ctx, s, engine.Senders, &sender.List{}); sendersErr == nil {
					p.senders = answer.Senders
				}
			},
			func() {
				var answer *rtspd.Sessions
				if answer, sessionsErr = ask[*rtspd.Sessions](ctx, s, engine.RTSP, &rtspd.ListSessions{}); sessionsErr == nil {
					p.sessions = answer.Sessions
				}
			},
		)
	}
	inParallel(questions...)
	for part, err := range map[string]error{
		"portpool": poolErr, "streams": streamsErr, "proxies": proxiesErr, "receivers": receiversErr, "senders": sendersErr, "rtspd": sessionsErr, "reload": configErr, "store": storeErr,
	} {
		p.silent[part] = err != nil
	}
	return p
}
