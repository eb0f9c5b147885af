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

func (s *store) onPutCooling(ctx actor.Context, m *PutCooling) {
	pairs, payload, err := coolingPayload(m.Pairs)
	o := op{bucketCooling, coolingKey, payload}
	if err == nil {
		o, err = checkedOp(o)
	}
	if err != nil {
		s.done(ctx, ctx.Sender(), fmt.Errorf("cooling pairs: %w", err))
		return
	}
	s.enqueue(ctx, &change{op: o, apply: func(d *definitions) { d.cooling = pairs }})
}

// coolingPayload encodes pairs, and returns those that it took: where all are too much for one record, the ones that were in use last, whose peers are the likeliest to still send.
// The payload is nil when there are none.
func coolingPayload(all []portpool.Remembered) ([]portpool.Remembered, []byte, error) {
	pairs := slices.Clone(all)
	slices.SortStableFunc(pairs, func(a, b portpool.Remembered) int { return b.Ended.Compare(a.Ended) })
	for len(pairs) > 0 {
		payload, err := json.Marshal(pairs)
		if err != nil || len(payload) <= maxPayloadBytes {
			return pairs, payload, err
		}
		pairs = pairs[:min(len(pairs)-1, len(pairs)*maxPayloadBytes/len(payload))]
	}
	return nil, nil, nil
}

// cooling decodes the pairs that were kept; none when they are of another version, since what they are worth is over in a minute.
func (c contents) cooling() []portpool.Remembered {
	var pairs []portpool.Remembered
	if json.Unmarshal(c[bucketCooling][coolingKey], &pairs) != nil {
		return nil
	}
	return pairs
}
