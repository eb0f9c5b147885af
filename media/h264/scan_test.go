package h264

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var scanCases = []struct {
	name    string
	payload []byte
	want    Flags
}{
	{"empty", nil, 0},
	{"slice, first", []byte{0x41, 0x9a, 0x01}, FlagPicture | FlagFirst},
	{"slice, not first", []byte{0x41, 0x40, 0x01}, FlagPicture},
	{"slice header cut off", []byte{0x41}, FlagPicture},
	{"idr", []byte{0x65, 0x88}, FlagPicture | FlagFirst | FlagIDR},
	{"partition b is no beginning", []byte{0x43, 0x80}, FlagPicture},
	{"sps", []byte{0x67, 0x42}, FlagSPS},
	{"pps", []byte{0x68, 0xce}, FlagPPS},
	{"access unit delimiter", []byte{0x09, 0xf0}, 0},
	{"sei recovery point", []byte{0x06, 0x06, 0x01, 0xc4, 0x80}, FlagRecovery},
	{"sei recovery point after user data", []byte{0x06, 0x05, 0x02, 1, 2, 0x06, 0x01, 0xc4, 0x80}, FlagRecovery},
	{"sei with long type and size", append([]byte{0x06, 0xff, 0x01, 0xff, 0x01}, append(make([]byte, 256), 0x06, 0x01, 0xc4, 0x80)...), FlagRecovery},
	{"sei other", []byte{0x06, 0x01, 0x01, 0x00, 0x80}, 0},
	{"sei cut off", []byte{0x06, 0x05, 0xff}, 0},
	{"sei size past the end", []byte{0x06, 0x05, 0x20, 0x06, 0x01}, 0},
	{"stap-a sps pps idr", []byte{0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88}, FlagSPS | FlagPPS | FlagPicture | FlagFirst | FlagIDR},
	{"stap-a size zero", []byte{0x78, 0, 0, 0x65, 0x88}, 0},
	{"stap-a size past the end", []byte{0x78, 0, 2, 0x67, 0x42, 0, 9, 0x65}, FlagSPS},
	{"stap-b", []byte{0x79, 0, 1, 0, 2, 0x65, 0x88}, FlagPicture | FlagFirst | FlagIDR},
	{"stap-b cut off", []byte{0x79, 0}, 0},
	{"mtap16", []byte{0x7a, 0, 1, 0, 2, 0, 0, 0, 0x65, 0x88, 0, 2, 1, 0, 9, 0x67, 0x42}, FlagPicture | FlagFirst | FlagIDR | FlagSPS},
	{"mtap24", []byte{0x7b, 0, 1, 0, 2, 0, 0, 0, 0, 0x65, 0x88}, FlagPicture | FlagFirst | FlagIDR},
	{"fu-a start of idr", []byte{0x7c, 0x85, 0x88}, FlagPicture | FlagFirst | FlagIDR},
	{"fu-a middle of idr", []byte{0x7c, 0x05, 0x88}, 0},
	{"fu-a end of idr", []byte{0x7c, 0x45, 0x88}, 0},
	{"fu-a start of slice", []byte{0x5c, 0x81, 0x9a}, FlagPicture | FlagFirst},
	{"fu-a start of sps", []byte{0x7c, 0x87, 0x42}, FlagSPS},
	{"fu-a header cut off", []byte{0x7c}, 0},
	{"fu-b start of idr", []byte{0x7d, 0x85, 0, 1, 0x88}, FlagPicture | FlagFirst | FlagIDR},
	{"reserved type", []byte{0x1e, 0x80}, 0},
}

func TestScan(t *testing.T) {
	for _, c := range scanCases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, Scan(c.payload))
		})
	}
	require.True(t, (FlagIDR | FlagSPS).Has(FlagSPS))
	require.False(t, FlagIDR.Has(FlagIDR|FlagSPS))
}

func TestScanAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, c := range scanCases {
			Scan(c.payload)
		}
	}))
}

func FuzzScan(f *testing.F) {
	for _, c := range scanCases {
		f.Add(c.payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		flags := Scan(payload)
		if flags.Has(FlagIDR) || flags.Has(FlagFirst) {
			require.True(t, flags.Has(FlagPicture), "an IDR and a first slice are pictures")
		}
	})
}
