// Package pes holds what MPEG program streams and transport streams share (ISO/IEC 13818-1): the headers of PES packets and their time stamps, stream types, the CRC of tables, and the splitting of
// audio that is sent as a byte stream (ADTS, LOAS, MPEG audio) into frames.
//
// Callers are berth/media/mpegts and berth/media/mpegps. Nothing here starts a goroutine or reads a clock; values belong to one goroutine.
package pes
