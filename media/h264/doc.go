// Package h264 looks into RTP payloads of H.264 (RFC 6184) just far enough to tell where pictures begin and where a decoder can start.
// It allocates nothing, keeps no state and starts no goroutine. Callers: berth/media/hub, once for every packet.
package h264
