package receiver

import (
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/media/hub"
)

// publishAgain is the pause before a stream that was refused is asked for again, refusedNote how often that is worth a line in the log.
const (
	publishAgain = time.Second
	refusedNote  = time.Minute
)

// outlet is where a device's media leaves to its stream: the part of a gb28181.Source that the actor turns.
type outlet interface {
	// Attach makes the frames that were kept, and all later ones, go to the writer, unless the device has come to send something else than the offer; tracks[i] is the hub's track for the device's track i, -1
	// for one that is not kept.
	Attach(offer []*media.Track, w *hub.Writer, tracks []int)
	// Detach keeps the frames again until the next Attach.
	Detach()
}

// feed is an actor's part in the stream that it publishes: one device's media under one name. The actor routes the messages of streams to it; whatever the feed is asked or told comes from the actor's goroutine.
type feed struct {
	streams *actor.PID
	self    *actor.PID
	root    *actor.RootContext
	log     zerolog.Logger
	now     func() time.Time
	key     media.StreamKey // as published
	outlet  outlet

	tracks   []*media.Track // what the device sends; nil while that is not known
	origin   stream.Origin
	config   *config.Config
	asked    []*media.Track // what an answer of streams is due for; nil while none is
	attached *stream.Attached
	former   *actor.PID // the stream that was attached last
	retry    *time.Timer
	over     bool

	refused   uint64 // times the stream was refused
	refusedAt time.Time
}

// askAgain is posted when the pause after a refusal is over.
type askAgain struct{}

// streamGone is a stream's Terminated, in line with what the stream sent before.
type streamGone struct{ stream *actor.PID }

// tracksKnown takes what a device turns out to send, and asks for the stream. Called again when that changes.
func (f *feed) tracksKnown(ctx actor.Context, tracks []*media.Track, peer, local netip.AddrPort, id string) {
	f.tracks = tracks
	f.origin = stream.Origin{
		Type: stream.OriginRTPPush, URL: "rtp://" + peer.String(), Peer: peer, Local: local, ID: id,
	}
	f.publish(ctx)
}

// publish asks for the right to publish. Who is to be asked for leave before that (on_publish) would be asked here: until the answer the source keeps the frames.
func (f *feed) publish(ctx actor.Context) {
	if f.over || f.asked != nil || f.tracks == nil {
		return
	}
	f.asked = f.tracks
	f.stopRetry()
	c := f.config.Protocol
	ctx.Request(f.streams, &streams.Publish{
		Key: f.key,
		Attach: stream.Attach{
			Publisher: f.self, Origin: f.origin, Tracks: f.tracks,
			Options: stream.Options{ContinuePush: c.ContinuePush, EnableAudio: c.EnableAudio, AutoClose: c.AutoClose},
		},
	})
}

func (f *feed) onAttached(ctx actor.Context, m *stream.Attached) {
	asked := f.asked
	f.asked = nil
	if f.over {
		// The stream must not wait for media that never comes.
		ctx.Send(m.Stream, &stream.Detach{Publisher: f.self, Reason: actors.ReasonPeerClosed, Final: true})
		return
	}
	if f.attached == nil || !f.attached.Stream.Equal(m.Stream) {
		f.unwatch(ctx)
		ctx.Watch(m.Stream)
		f.log.Info().Str("published", m.Key.Path()).Strs("tracks", trackNames(f.tracks)).Stringer("peer", f.origin.Peer).Msg("device is published")
	}
	f.attached, f.former = m, m.Stream
	if !same(asked, f.tracks) { // meanwhile the device has come to send something else
		f.publish(ctx)
		return
	}
	f.outlet.Attach(f.tracks, m.Writer, m.Tracks)
}

// same reports whether two slices are one.
func same(a, b []*media.Track) bool { return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] }

func trackNames(tracks []*media.Track) []string {
	names := make([]string, len(tracks))
	for i, t := range tracks {
		names[i] = t.Codec.String()
	}
	return names
}

// onRefused tries again later: another publisher may have gone until then. Frames are kept meanwhile as far as their bounds allow.
func (f *feed) onRefused(err error) {
	f.asked = nil
	if f.over {
		return
	}
	f.refused++
	if now := f.now(); now.Sub(f.refusedAt) >= refusedNote {
		f.refusedAt = now
		f.log.Warn().Str("published", f.key.Path()).Err(err).Stringer("peer", f.origin.Peer).Uint64("times", f.refused).
			Msg("the stream of a device is refused; it is asked for again and again")
	}
	f.scheduleRetry()
}

func (f *feed) scheduleRetry() {
	f.stopRetry()
	root, self := f.root, f.self
	f.retry = time.AfterFunc(publishAgain, func() { root.Send(self, askAgain{}) })
}

func (f *feed) stopRetry() {
	if f.retry != nil {
		f.retry.Stop()
		f.retry = nil
	}
}

// onEnded takes the end of the stream, and reports whether the device is to go with it: it does when somebody wanted the end, and does not when the stream failed.
func (f *feed) onEnded(ctx actor.Context, from media.StreamKey, reason actors.CloseReason) bool {
	if f.over || f.attached == nil || from != f.key {
		return false
	}
	f.drop(ctx)
	switch reason {
	case actors.ReasonKicked, actors.ReasonDeleted, actors.ReasonNoReader, actors.ReasonRefused:
		return true
	case actors.ReasonCrashed:
		f.scheduleRetry()
	}
	return false // the engine ends, and this actor with it
}

// onStreamGone takes the end of the stream's actor, which a stream that failed does not announce.
func (f *feed) onStreamGone(ctx actor.Context, who *actor.PID) {
	if f.over || f.attached == nil || !f.attached.Stream.Equal(who) {
		return
	}
	f.drop(ctx)
	f.scheduleRetry()
}

// drop forgets the stream; the source keeps frames again.
func (f *feed) drop(ctx actor.Context) {
	if f.attached != nil {
		f.outlet.Detach()
	}
	f.unwatch(ctx)
	f.attached = nil
}

func (f *feed) unwatch(ctx actor.Context) {
	if f.attached != nil {
		ctx.Unwatch(f.attached.Stream)
	}
}

// leave ends the publisher's role for good. final ends the stream with it; else viewers wait for somebody who goes on.
func (f *feed) leave(ctx actor.Context, reason actors.CloseReason, final bool) {
	if f.over {
		return
	}
	f.over = true
	f.stopRetry()
	f.unwatch(ctx)
	if f.former != nil {
		ctx.Send(f.former, &stream.Detach{Publisher: f.self, Reason: reason, Final: final})
	}
	f.attached = nil
}

// published returns the key of the stream while there is one.
func (f *feed) published() media.StreamKey {
	if f.attached == nil {
		return media.StreamKey{}
	}
	return f.key
}
