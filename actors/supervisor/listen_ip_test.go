package supervisor

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// dialing connects to addresses again and again until stop is called, which returns how often it was refused.
func dialing(addrs ...string) (stop func() int) {
	end, refused := make(chan struct{}), make([]int, len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				conn, err := net.Dial("tcp", addr)
				if err == nil {
					_ = conn.Close()
				} else if errors.Is(err, syscall.ECONNREFUSED) {
					refused[i]++
				}
			}
		})
	}
	return func() int {
		close(end)
		all.Wait()
		sum := 0
		for _, n := range refused {
			sum += n
		}
		return sum
	}
}

// The listening address changes to one that overlaps with the old one, on the same ports: both are open for a moment.
func TestTheListeningAddressWidensAndNarrowsOnItsPorts(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{breaking: func(generation uint64) string {
		if generation == 4 {
			return "streams"
		}
		return ""
	}})
	s.pull(source, "one", "1")
	stop := dialing(s.ready.RTSP.String(), s.ready.HTTP.String())
	elsewhere := func() bool {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(int(s.ready.RTSP.Port()))))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	require.False(t, elsewhere())
	restart := func(ip string) map[string]any {
		s.set("general.listen_ip", strconv.Quote(ip))
		reply := s.call("restartServer", "wait", "1")
		s.http.CloseIdleConnections()
		return reply
	}
	require.EqualValues(t, 0, restart("0.0.0.0")["code"])
	s.eventually("the wildcard is open", elsewhere)
	require.EqualValues(t, 0, restart("127.0.0.1")["code"])
	s.eventually("the wildcard is closed", func() bool { return !elsewhere() })

	// The fourth generation cannot start: the address is the one from before.
	reply := restart("0.0.0.0")
	require.NotEqualValues(t, 0, reply["code"])
	require.Contains(t, fmt.Sprint(reply["msg"]), "from before")
	require.EqualValues(t, 5, s.generation())
	s.eventually("the wildcard is closed again", func() bool { return !elsewhere() })
	s.set("general.listen_ip", `"127.0.0.1"`)
	s.eventually("it plays", func() bool { return s.playing() == 1 })
	require.Zero(t, stop(), "connections were refused")
}
