package api

import (
	"math"
	"net/netip"
	"time"

	"berth/actors/stream"
	"berth/media"
)

// schemaRTSP is the one schema that streams have today. ZLMediaKit lists an item for each output protocol.
const schemaRTSP = "rtsp"

// mediaItem is ZLMediaKit's MediaSource object. withLoss adds the loss of each track, which ZLMediaKit does only for a single item.
func (s *service) mediaItem(snap *stream.Snapshot, withLoss bool) object {
	now := s.opts.Now()
	return object{
		"schema":           schemaRTSP,
		"vhost":            snap.Key.VHost,
		"app":              snap.Key.App,
		"stream":           snap.Key.Stream,
		"params":           snap.Params,
		"createStamp":      snap.Created.Unix(),
		"aliveSecond":      wholeSeconds(now.Sub(snap.Created)),
		"bytesSpeed":       s.speed(snap, now),
		"totalBytes":       snap.Stats.Bytes,
		"readerCount":      snap.ReaderCount,
		"totalReaderCount": snap.ReaderCount,
		"originType":       int(snap.Origin.Type),
		"originTypeStr":    snap.Origin.Type.String(),
		"originUrl":        snap.Origin.URL,
		"originSock":       originSock(snap.Origin),
		"isRecordingMP4":   false,
		"isRecordingHLS":   false,
		"online":           snap.Online,
		"tracks":           trackItems(snap, withLoss),
	}
}

// speed returns the stream's bytes a second.
func (s *service) speed(snap *stream.Snapshot, now time.Time) uint64 {
	return s.meter.speed(snap.Key, snap.Created, snap.Stats.Bytes, now)
}

// originSock is null when the source has no address.
func originSock(o stream.Origin) any {
	if !o.Peer.IsValid() {
		return nil
	}
	return sockInfo(object{}, o.ID, o.Peer, o.Local)
}

// sockInfo adds ZLMediaKit's five fields of a connection.
func sockInfo(item object, id string, peer, local netip.AddrPort) object {
	item["identifier"] = id
	item["peer_ip"], item["peer_port"] = addressText(peer), peer.Port()
	item["local_ip"], item["local_port"] = addressText(local), local.Port()
	return item
}

func addressText(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Addr().Unmap().String()
}

func trackItems(snap *stream.Snapshot, withLoss bool) []object {
	items := make([]object, 0, len(snap.Tracks))
	for i := range snap.Tracks {
		items = append(items, trackItem(&snap.Tracks[i], snap.Created, withLoss))
	}
	return items
}

func trackItem(t *stream.TrackSnapshot, created time.Time, withLoss bool) object {
	track, stats := t.Track, &t.Stats
	item := object{
		"codec_id":      track.Codec.ID(),
		"codec_id_name": track.Codec.String(),
		"codec_type":    int(track.Kind),
		"ready":         track.Kind != media.KindVideo || track.Width > 0 || stats.KeyFrames > 0,
		"frames":        stats.Frames,
		"duration":      trackDuration(stats.LastPacket, created).Milliseconds(),
		"payload_type":  track.PayloadType(),
		"packets":       stats.Packets,
		"packets_lost":  stats.Lost,
	}
	if withLoss {
		item["loss"] = finite(stats.LossPercent, -1)
	}
	switch track.Kind {
	case media.KindVideo:
		fps := stats.FPS
		if fps <= 0 {
			fps = track.FPS
		}
		item["width"], item["height"], item["fps"] = track.Width, track.Height, math.Round(finite(fps, 0))
		item["key_frames"], item["gop_size"], item["gop_interval_ms"] = stats.KeyFrames, stats.GOPSize, stats.GOPInterval.Milliseconds()
	case media.KindAudio:
		item["sample_rate"], item["channels"], item["sample_bit"] = track.SampleRate, track.Channels, track.SampleBits
	}
	return item
}

func trackDuration(last, created time.Time) time.Duration {
	if last.IsZero() {
		return 0
	}
	return max(0, last.Sub(created))
}

// finite keeps what JSON cannot hold out of a reply.
func finite(v, fallback float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fallback
	}
	return v
}

func wholeSeconds(d time.Duration) int64 { return int64(max(d, 0) / time.Second) }
