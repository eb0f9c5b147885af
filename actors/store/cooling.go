package store

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/portpool"
)

// coolingKey is the one key of the cooling bucket.
const coolingKey = "pairs"

// maxCooling bounds what is kept: every pair there is.
const maxCooling = 1 << 15

func (s *store) onPutCooling(ctx actor.Context, m *PutCooling) {
	pairs := slices.Clone(m.Pairs[:min(len(m.Pairs), maxCooling)])
	o := op{bucketCooling, coolingKey, nil}
	if len(pairs) > 0 {
		payload, err := json.Marshal(pairs)
		if err != nil {
			s.done(ctx, ctx.Sender(), fmt.Errorf("cooling pairs: %w", err))
			return
		}
		o.payload = payload
	}
	o, err := checkedOp(o)
	if err != nil {
		s.done(ctx, ctx.Sender(), err)
		return
	}
	s.enqueue(ctx, &change{op: o, apply: func(d *definitions) { d.cooling = pairs }})
}

// cooling decodes the pairs that were kept; none when they are of another version, since what they are worth is over in a minute.
func (c contents) cooling() []portpool.Remembered {
	var pairs []portpool.Remembered
	if json.Unmarshal(c[bucketCooling][coolingKey], &pairs) != nil {
		return nil
	}
	return pairs
}
