package rtspd

import (
	"bytes"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// A client that asks and never reads is cut off, and neither berth nor the kernel goes on offering it the answers.
func TestDeafClientIsCutOff(t *testing.T) {
	f := newFixture(t, nil)
	conn, err := net.Dial("tcp", f.addr)
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the server has closed it
	require.NoError(t, conn.SetDeadline(time.Now().Add(actortest.Wait)))
	many := bytes.Repeat([]byte("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"), 1000)
	for err = nil; err == nil; {
		_, err = conn.Write(many)
	}
	f.eventually(func() bool { return len(f.list()) == 0 }, "the session has ended")
	_, err = io.Copy(io.Discard, conn)
	if err != nil { // the write may have consumed it
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}
}
