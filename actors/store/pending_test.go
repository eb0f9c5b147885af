package store

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func overrideChange(key, value string) *change {
	o := op{bucketOverrides, key, nil}
	if value != "" {
		o.payload = []byte(value)
	}
	return &change{op: o, apply: func(d *definitions) {
		if value == "" {
			delete(d.overrides, key)
		} else {
			d.overrides[key] = value
		}
	}}
}

// pendingModel is a store without coalescing: one list of writes, in order, and a disk.
type pendingModel struct {
	disk    map[string]string
	waiting []modelWrite
}

type modelWrite struct {
	key, value string
	asked      bool
}

func (m *pendingModel) settle(writes []modelWrite, err error) {
	var left []modelWrite
	for _, w := range writes {
		switch {
		case err != nil && w.asked:
		case err != nil:
			left = append(left, w)
		case w.value == "":
			delete(m.disk, w.key)
		default:
			m.disk[w.key] = w.value
		}
	}
	m.waiting = append(left, m.waiting...)
}

// Whatever is put and deleted, answered or not, and however often the disk fails meanwhile: what is left is what single writes in order would have left.
func TestGatheredWritesComeToTheSameAsSingleOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		defs, waiting, model := newDefinitions(), pending{}, pendingModel{disk: map[string]string{}}
		file := map[string]string{} // what the ops have made of the file
		var flying *pending
		var modelFlying []modelWrite
		asker, number, answers := actor.NewPID("test", "asker"), uint64(0), 0
		land := func(err error) {
			if err == nil {
				flying.apply(defs)
				answers += len(flying.askers)
			} else {
				answers += len(flying.refuse())
				waiting.restore(flying)
			}
			model.settle(modelFlying, err)
			flying, modelFlying = nil, nil
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				if flying == nil {
					batch := waiting
					flying, waiting = &batch, pending{}
					modelFlying, model.waiting = model.waiting, nil
				}
			case 1:
				if flying != nil {
					var err error
					if rapid.Bool().Draw(t, "fails") {
						err = errors.New("disk full")
					} else {
						for _, o := range flying.ops(defs, false) {
							if o.payload == nil {
								delete(file, o.key)
							} else {
								file[o.key] = string(o.payload)
							}
						}
					}
					land(err)
				}
			default:
				w := modelWrite{
					rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "value"),
					rapid.Bool().Draw(t, "asked"),
				}
				var from *actor.PID
				if w.asked {
					from = asker
					number++
				}
				waiting.add([]*change{overrideChange(w.key, w.value)}, from, number)
				model.waiting = append(model.waiting, w)
			}
			require.Equal(t, model.disk, defs.overrides)
			require.Equal(t, model.disk, file)
			seen := defs.clone()
			if flying != nil {
				flying.foresee(seen)
			}
			waiting.foresee(seen)
			foreseen := pendingModel{disk: maps.Clone(model.disk)}
			for _, w := range append(append([]modelWrite(nil), modelFlying...), model.waiting...) {
				if !w.asked {
					foreseen.settle([]modelWrite{w}, nil)
				}
			}
			require.Equal(t, foreseen.disk, seen.overrides)
		}
		require.LessOrEqual(t, answers, int(number))
	})
}

func TestWhatWaitsIsBounded(t *testing.T) {
	var p pending
	for n := range maxChanges {
		c := []*change{overrideChange(fmt.Sprint(n), "v")}
		require.True(t, p.room(c))
		p.add(c, nil, 0)
	}
	require.False(t, p.room([]*change{overrideChange("one more", "v")}))
	require.True(t, p.room([]*change{overrideChange("7", "")}), "what waits already may change")
	p = pending{}
	asker := actor.NewPID("test", "asker")
	for n := range maxAskers {
		p.add([]*change{overrideChange("k", "v")}, asker, uint64(n))
	}
	require.Len(t, p.changes, 1)
	require.False(t, p.room([]*change{overrideChange("k", "w")}))
}
