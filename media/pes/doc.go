// Package pes holds what MPEG program streams and transport streams share (ISO/IEC 13818-1): the headers of PES packets and their time stamps, stream types, the CRC of tables, and the splitting of
// audio that is sent as a byte stream (ADTS, LOAS, MPEG audio) into frames, and the memory in which both gather access units ([Room], [Buffers]).
//
// Callers are berth/media/mpegts and berth/media/mpegps; netio/gb28181 has the [Buffers] that its demuxers share. Nothing here starts a goroutine or reads a clock. Values belong to one goroutine, but for
// [Buffers], which any number may use at once.
package pes
