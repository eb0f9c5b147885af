package rtspd

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// scarce fails before every connection that it accepts, as a listener does while descriptors are scarce and connections come and go.
type scarce struct {
	conns int // still to come
	fail  bool
}

func (l *scarce) Accept() (net.Conn, error) {
	l.fail = !l.fail
	switch {
	case l.fail:
		return nil, errors.New("too many open files")
	case l.conns == 0:
		return nil, net.ErrClosed
	}
	l.conns--
	ours, theirs := net.Pipe()
	_ = theirs.Close()
	return ours, nil
}

func (*scarce) Close() error   { return nil }
func (*scarce) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptFailuresDoNotFloodTheLog(t *testing.T) {
	var log bytes.Buffer
	at := time.Unix(1000, 0)
	gate := newGate() // without limits set it admits nobody, so that no actor is needed
	gate.closed = true
	l := &acceptLoop{
		listener: Listener{Listener: &scarce{conns: 20}}, gate: gate, quit: make(chan struct{}), log: zerolog.New(&log), now: func() time.Time { return at },
	}
	l.run()
	require.Equal(t, 1, strings.Count(log.String(), "cannot accept"), "%s", log.String())
	require.Contains(t, log.String(), `"failures":1,`)

	at = at.Add(refusalReport)
	l.onFailure(errors.New("too many open files"))
	require.Equal(t, 2, strings.Count(log.String(), "cannot accept"))
	require.Contains(t, log.String(), `"failures":21,`)
}
