package sei

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var units = []struct {
	name string
	unit []byte
	want bool
}{
	{"empty", nil, false},
	{"trailing bits alone", []byte{0x80}, false},
	{"recovery point", []byte{6, 1, 0xc4, 0x80}, true},
	{"after user data", []byte{5, 2, 1, 2, 6, 1, 0xc4, 0x80}, true},
	{"after a long type and size", append([]byte{0xff, 1, 0xff, 1}, append(make([]byte, 256), 6, 1, 0xc4, 0x80)...), true},
	{"another one", []byte{1, 1, 0, 0x80}, false},
	{"a six among the payload", []byte{5, 3, 6, 1, 0xc4, 0x80}, false},
	{"size cut off", []byte{5, 0xff}, false},
	{"type cut off", []byte{0xff, 0xff}, false},
	{"size past the end", []byte{5, 0x20, 6, 1}, false},
}

func TestHasRecoveryPoint(t *testing.T) {
	for _, c := range units {
		require.Equal(t, c.want, HasRecoveryPoint(c.unit), c.name)
	}
}

func FuzzHasRecoveryPoint(f *testing.F) {
	for _, c := range units {
		f.Add(c.unit)
	}
	f.Fuzz(func(t *testing.T, unit []byte) {
		if HasRecoveryPoint(unit) && len(unit) < 2 {
			t.Error("a type and a size are two bytes")
		}
	})
}
