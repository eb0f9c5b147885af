package supervisor

import (
	"net"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// A restart with a drain waits for the viewer, lets nobody new in meanwhile, and happens as soon as the viewer has left.
func TestARestartWithADrainWaitsForViewers(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "one", "0")
	viewer := play(t, s, "one")
	answer := make(chan map[string]any, 1)
	go func() {
		reply, err := s.try("restartServer", "wait", "1", "drain_sec", "600")
		if err != nil {
			reply = map[string]any{"error": err}
		}
		answer <- reply
	}()
	s.eventually("the drain counts the viewer", func() bool {
		data, _ := s.call("getRestartState")["data"].(map[string]any)
		return data["draining"] == true && data["viewers"] == 1.0
	})
	conn, err := net.Dial("tcp", s.ready.RTSP.String())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // a socket of the test
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(actortest.Wait)))
	said := make([]byte, 64)
	n, err := conn.Read(said)
	require.NoError(t, err)
	require.Contains(t, string(said[:n]), "503")
	refused := s.call("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", "two", "url", source.URL("two"), "rtp_type", "1", "retry_count", "0")
	require.Contains(t, refused["msg"], "restarted")
	require.EqualValues(t, 1, s.generation())
	viewer.Close()
	select {
	case reply := <-answer:
		require.EqualValues(t, 0, reply["code"], "%v", reply)
	case <-time.After(actortest.Wait):
		t.Fatal("the restart has not come")
	}
	require.EqualValues(t, 2, s.generation())
	s.eventually("the pull is back", func() bool { return s.playing() == 1 })
	play(t, s, "one").Close()
	require.Equal(t, false, s.call("getRestartState")["data"].(map[string]any)["draining"])
}

// A configuration with an error is refused before anybody is turned away, and a restart that is refused after the drain lets everybody in again.
func TestADrainThatLeadsNowhereIsUndone(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "one", "0")
	viewer := play(t, s, "one")
	good := s.keys["rtsp.port"]
	s.set("rtsp.port", "70000")
	refused := s.call("restartServer", "wait", "1", "drain_sec", "600")
	require.EqualValues(t, -1, refused["code"])
	s.set("rtsp.port", good)
	answer := make(chan map[string]any, 1)
	go func() {
		reply, _ := s.try("restartServer", "wait", "1", "drain_sec", "600")
		answer <- reply
	}()
	s.eventually("it drains", func() bool {
		data, _ := s.call("getRestartState")["data"].(map[string]any)
		return data["draining"] == true
	})
	s.set("rtsp.port", "70000")
	viewer.Close()
	require.EqualValues(t, -1, (<-answer)["code"])
	require.EqualValues(t, 1, s.generation())
	s.set("rtsp.port", good)
	play(t, s, "one").Close()
}

// play plays a stream over TCP until it is closed.
func play(t *testing.T, s *server, name string) *gortsplib.Client {
	t.Helper()
	u, err := base.ParseURL("rtsp://" + s.ready.RTSP.String() + "/live/" + name)
	require.NoError(t, err)
	tcp := gortsplib.ProtocolTCP
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &tcp}
	require.NoError(t, c.Start())
	t.Cleanup(c.Close)
	desc, _, err := c.Describe(u)
	require.NoError(t, err)
	require.NoError(t, c.SetupAll(desc.BaseURL, desc.Medias))
	_, err = c.Play(nil)
	require.NoError(t, err)
	return c
}
