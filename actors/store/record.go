package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Names of the buckets. They are the first byte of a record too, so that one found on a page whose bucket is unknown can be told.
const (
	bucketMeta      = "meta"
	bucketProxies   = "proxies"
	bucketOverrides = "overrides"
	bucketCooling   = "cooling"
	bucketReceivers = "receivers"
	bucketSenders   = "senders"
)

// recordKinds maps a bucket to its mark in a record. Marks are never reused.
var recordKinds = map[string]byte{bucketProxies: 'p', bucketOverrides: 'o', bucketCooling: 'c', bucketReceivers: 'r', bucketSenders: 's'}

// Bounds of a record. They keep a caller from filling the disk with one definition, and stand well below those of bbolt.
const (
	maxKeyBytes     = 4 << 10
	maxPayloadBytes = 1 << 20
)

// A record is, in big endian:
//
//	"brth" kind(1) version(1)=1 keyLen(2) sequence(8) crc32c(4) key payload
//
// The checksum covers everything but itself. The sequence grows with every write of the store, so that of two copies the later one is known.
const (
	recordMagic   = "brth"
	recordVersion = 1
	recordHeader  = 20
)

var (
	errRecordShort    = errors.New("record too short")
	errRecordForeign  = errors.New("not a record")
	errRecordChecksum = errors.New("record checksum mismatch")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// record is one value of the database.
type record struct {
	bucket   string
	key      string
	sequence uint64
	payload  []byte // JSON
}

func (r record) encode() []byte {
	out := make([]byte, recordHeader, recordHeader+len(r.key)+len(r.payload))
	copy(out, recordMagic)
	out[4], out[5] = recordKinds[r.bucket], recordVersion
	binary.BigEndian.PutUint16(out[6:], uint16(len(r.key)))
	binary.BigEndian.PutUint64(out[8:], r.sequence)
	out = append(append(out, r.key...), r.payload...)
	binary.BigEndian.PutUint32(out[16:], recordChecksum(out))
	return out
}

func recordChecksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:16], castagnoli), castagnoli, b[recordHeader:])
}

// decodeRecord parses and checks a value. The payload stays part of b.
func decodeRecord(b []byte) (record, error) {
	if len(b) < recordHeader {
		return record{}, errRecordShort
	}
	bucket := ""
	for name, kind := range recordKinds {
		if kind == b[4] {
			bucket = name
		}
	}
	if string(b[:4]) != recordMagic || bucket == "" || b[5] != recordVersion {
		return record{}, errRecordForeign
	}
	if recordChecksum(b) != binary.BigEndian.Uint32(b[16:]) {
		return record{}, errRecordChecksum
	}
	keyEnd := recordHeader + int(binary.BigEndian.Uint16(b[6:]))
	if keyEnd > len(b) {
		return record{}, errRecordShort
	}
	return record{
		bucket: bucket, key: string(b[recordHeader:keyEnd]),
		sequence: binary.BigEndian.Uint64(b[8:]), payload: b[keyEnd:],
	}, nil
}
