package media

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRTP(t *testing.T) {
	packet := func(first byte, rest ...byte) []byte {
		return append([]byte{first, 0xe0, 0x12, 0x34, 0, 0, 0, 5, 0, 0, 0, 7}, rest...)
	}
	for name, c := range map[string]struct {
		pkt     []byte
		payload []byte // nil: not a packet
	}{
		"plain":                   {packet(0x80, 1, 2, 3), []byte{1, 2, 3}},
		"no payload":              {packet(0x80), []byte{}},
		"contributing sources":    {packet(0x82, 0, 0, 0, 1, 0, 0, 0, 2, 9), []byte{9}},
		"sources cut off":         {packet(0x82, 0, 0, 0, 1), nil},
		"extension":               {packet(0x90, 0xbe, 0xde, 0, 1, 0, 0, 0, 0, 9), []byte{9}},
		"extension of nothing":    {packet(0x90, 0xbe, 0xde, 0, 0, 9), []byte{9}},
		"extension cut off":       {packet(0x90, 0xbe, 0xde, 0, 1, 0), nil},
		"extension without size":  {packet(0x90, 0xbe), nil},
		"padding":                 {packet(0xa0, 9, 0, 2), []byte{9}},
		"nothing but padding":     {packet(0xa0, 0, 2), []byte{}},
		"padding of zero":         {packet(0xa0, 9, 0), nil},
		"more padding than bytes": {packet(0xa0, 9, 3), nil},
		"padding without a byte":  {packet(0xa0), nil},
		"version 1":               {packet(0x40, 1), nil},
		"cut off":                 {packet(0x80)[:11], nil},
		"empty":                   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h, ok := ParseRTP(c.pkt)
			require.Equal(t, c.payload != nil, ok)
			if ok {
				require.Equal(t, RTP{Marker: true, PayloadType: 0x60, Seq: 0x1234, Timestamp: 5, SSRC: 7, Payload: c.payload}, h)
			}
		})
	}
}
