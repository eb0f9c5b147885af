package store

import (
	"maps"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

func (s *store) onPutProxy(ctx actor.Context, m *PutProxy) {
	p := m.Proxy
	p.Params, p.Ports = maps.Clone(p.Params), slices.Clone(p.Ports)
	o, err := proxyOp(p)
	s.put(ctx, o, err, func(d *definitions) { d.proxies[o.key] = p })
}

func (s *store) onDeleteProxy(ctx actor.Context, m *DeleteProxy) {
	key := m.Key.String()
	s.delete(ctx, bucketProxies, key, func(d *definitions) { delete(d.proxies, key) })
}

func (s *store) onPutReceiver(ctx actor.Context, m *PutReceiver) {
	r := m.Receiver
	o, err := receiverOp(r)
	s.put(ctx, o, err, func(d *definitions) { d.receivers[o.key] = r })
}

func (s *store) onDeleteReceiver(ctx actor.Context, m *DeleteReceiver) {
	key := m.Key.String()
	s.delete(ctx, bucketReceivers, key, func(d *definitions) { delete(d.receivers, key) })
}

func (s *store) onPutSender(ctx actor.Context, m *PutSender) {
	v := m.Sender
	o, err := senderOp(v, s.defs.senderKey(v.Place()))
	s.put(ctx, o, err, func(d *definitions) { d.senders[o.key] = v })
}

func (s *store) onDeleteSender(ctx actor.Context, m *DeleteSender) {
	key := s.defs.senderKey(*m)
	s.delete(ctx, bucketSenders, key, func(d *definitions) { delete(d.senders, key) })
}

func (s *store) onPutOverrides(ctx actor.Context, m *PutOverrides) {
	values := maps.Clone(m.Values)
	ops, err := overrideOps(values)
	if err != nil || len(ops) == 0 {
		s.done(ctx, ctx.Sender(), err)
		return
	}
	changes := make([]*change, len(ops))
	for i, o := range ops {
		changes[i] = &change{op: o, apply: func(d *definitions) {
			if v := values[o.key]; v != nil {
				d.overrides[o.key] = *v
			} else {
				delete(d.overrides, o.key)
			}
		}}
	}
	s.enqueue(ctx, changes...)
}

// put takes a definition that has been encoded, or could not be.
func (s *store) put(ctx actor.Context, o op, err error, apply func(*definitions)) {
	if err != nil {
		s.invalid(ctx, err)
		return
	}
	s.enqueue(ctx, &change{op: o, apply: apply})
}

func (s *store) delete(ctx actor.Context, bucket, key string, apply func(*definitions)) {
	s.enqueue(ctx, &change{op: op{bucket: bucket, key: key}, apply: apply})
}

// invalid answers a definition that cannot be kept whatever happens; where nobody waits for an answer it is a fault of the server, and logged.
func (s *store) invalid(ctx actor.Context, err error) {
	if ctx.Sender() == nil {
		s.Log.Error().Err(err).Msg("a definition cannot be kept")
	}
	s.done(ctx, ctx.Sender(), err)
}
