package hostcheck

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// kernelHex is 127.0.0.1 as the kernel of this machine writes it.
func kernelHex() string {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return "0100007F"
	}
	return "7F000001"
}

func TestParseSockets(t *testing.T) {
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: " + kernelHex() + ":4E20 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 17 2 0 0\n" +
		"   1: 00000000000000000000000000000000:4E21 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 18 2 0 0\n" +
		"   2: short\n" +
		"   3: 00:4E21 0:0 07 0:0 0:0 0 0 0 18 2 0 0\n" +
		"   4: 00000000:XXXX 0:0 07 0:0 0:0 0 0 0 18 2 0 0\n" +
		"   5: 00000000:4E21 0:0 07 0:0 0:0 0 0 0 none 2 0 0\n"
	got := parseSockets([]byte(table), false)
	require.Len(t, got, 2)
	require.Equal(t, "127.0.0.1:20000", got[0].local.String())
	require.Equal(t, uint64(17), got[0].inode)
	require.Equal(t, "[::]:20001", got[1].local.String())
	require.Empty(t, parseSockets([]byte(table), true), "none of them listens")
}

func FuzzParseSockets(f *testing.F) {
	f.Add([]byte("   0: 0100007F:4E20 00000000:0000 0A 0:0 0:0 0 1000 0 17 2 0 0\n"), true)
	f.Add([]byte("   1: 00000000000000000000000000000000:4E21 0:0 07 0:0 0:0 0 0 0 18\n"), false)
	f.Add([]byte(""), false)
	f.Add([]byte("a b c d e f g h i j\n\n\n"), true)
	f.Fuzz(func(t *testing.T, table []byte, tcp bool) {
		for _, s := range parseSockets(table, tcp) {
			require.True(t, s.local.IsValid())
			require.Equal(t, tcp, s.tcp)
		}
	})
}
