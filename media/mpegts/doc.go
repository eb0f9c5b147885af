// Package mpegts takes MPEG transport streams apart and makes them: ISO/IEC 13818-1 section 2.4, as it travels in RTP (RFC 2250 section 2).
//
// A [Demuxer] is given the payloads of RTP packets one after the other and calls back with access units. A [Muxer] makes the bytes of one access unit at a time. Callers:
// netio/gb28181, in its read loops and in its forms.
//
// Neither starts a goroutine or reads a clock, and neither is safe for use by several goroutines at once. In steady state neither allocates.
package mpegts
