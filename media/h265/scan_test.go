package h265

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var scanCases = []struct {
	name    string
	donl    bool
	payload []byte
	want    Flags
}{
	{"empty", false, nil, 0},
	{"one byte", false, []byte{0x26}, 0},
	{"idr_w_radl", false, []byte{19 << 1, 1, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"idr_n_lp", false, []byte{20 << 1, 1, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"cra", false, []byte{21 << 1, 1, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"bla", false, []byte{16 << 1, 1, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"irap, later segment", false, []byte{19 << 1, 1, 0x2f}, FlagPicture | FlagIRAP},
	{"trail", false, []byte{1 << 1, 1, 0xd0}, FlagPicture | FlagFirst},
	{"header only", false, []byte{1 << 1, 1}, FlagPicture},
	{"vps", false, []byte{32 << 1, 1, 0}, FlagVPS},
	{"sps", false, []byte{33 << 1, 1, 0}, FlagSPS},
	{"pps", false, []byte{34 << 1, 1, 0}, FlagPPS},
	{"recovery point", false, []byte{39 << 1, 1, 6, 1, 0x80, 0x80}, FlagRecovery},
	{"other sei", false, []byte{39 << 1, 1, 1, 1, 0x80, 0x80}, 0},
	{"suffix sei", false, []byte{40 << 1, 1, 6, 1, 0x80, 0x80}, 0},
	{"single with donl", true, []byte{19 << 1, 1, 0, 7, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"single with donl cut off", true, []byte{19 << 1, 1, 0}, FlagPicture | FlagIRAP},
	{"ap vps sps irap", false, []byte{48 << 1, 1, 0, 2, 32 << 1, 1, 0, 2, 33 << 1, 1, 0, 3, 19 << 1, 1, 0xaf}, FlagVPS | FlagSPS | FlagPicture | FlagFirst | FlagIRAP},
	{"ap with donl", true, []byte{48 << 1, 1, 0, 7, 0, 2, 33 << 1, 1, 0, 0, 3, 19 << 1, 1, 0xaf}, FlagSPS | FlagPicture | FlagFirst | FlagIRAP},
	{"ap unit too short", false, []byte{48 << 1, 1, 0, 1, 32 << 1, 0, 3, 19 << 1, 1, 0xaf}, 0},
	{"ap unit past the end", false, []byte{48 << 1, 1, 0, 2, 33 << 1, 1, 0, 9, 19 << 1}, FlagSPS},
	{"fu start of irap", false, []byte{49 << 1, 1, 0x80 | 19, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"fu start with donl", true, []byte{49 << 1, 1, 0x80 | 19, 0, 7, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"fu middle", false, []byte{49 << 1, 1, 19, 0xaf}, 0},
	{"fu end", false, []byte{49 << 1, 1, 0x40 | 19, 0xaf}, 0},
	{"fu cut off", false, []byte{49 << 1, 1}, 0},
	{"paci with single irap", false, []byte{50 << 1, 1, 19 << 1, 0, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"paci with fu and an extension", false, []byte{50 << 1, 1, 49 << 1, 3 << 4, 1, 2, 3, 0x80 | 19, 0xaf}, FlagPicture | FlagFirst | FlagIRAP},
	{"paci in paci", false, []byte{50 << 1, 1, 50 << 1, 0, 19 << 1, 1}, 0},
	{"paci cut off", false, []byte{50 << 1, 1, 19 << 1}, 0},
	{"paci extension past the end", false, []byte{50 << 1, 1, 49 << 1, 0xf0, 0x80 | 19}, 0},
	{"reserved", false, []byte{60 << 1, 1, 0x80}, 0},
}

func TestScan(t *testing.T) {
	for _, c := range scanCases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, Scan(c.payload, c.donl))
		})
	}
	require.True(t, (FlagIRAP | FlagSPS).Has(FlagSPS))
}

func TestScanAllocatesNothing(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, c := range scanCases {
			Scan(c.payload, c.donl)
		}
	}))
}

func FuzzScan(f *testing.F) {
	for _, c := range scanCases {
		f.Add(c.payload, c.donl)
	}
	f.Fuzz(func(t *testing.T, payload []byte, donl bool) {
		flags := Scan(payload, donl)
		if flags.Has(FlagIRAP) || flags.Has(FlagFirst) {
			require.True(t, flags.Has(FlagPicture), "an IRAP and a first segment are pictures")
		}
	})
}
