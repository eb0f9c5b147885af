package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors/api"
)

// Whatever part of the engine panics, the next generation has every definition again, no port is lost, and nothing is left behind at the end.
func TestAPartOfTheEngineThatPanicsCostsOneGeneration(t *testing.T) {
	parts := map[string]func(*api.Engine) *actor.PID{
		"portpool":  func(e *api.Engine) *actor.PID { return e.Pool },
		"hook":      func(e *api.Engine) *actor.PID { return e.Hook },
		"streams":   func(e *api.Engine) *actor.PID { return e.Streams },
		"proxies":   func(e *api.Engine) *actor.PID { return e.Proxies },
		"receivers": func(e *api.Engine) *actor.PID { return e.Receivers },
		"senders":   func(e *api.Engine) *actor.PID { return e.Senders },
		"rtspd":     func(e *api.Engine) *actor.PID { return e.RTSP },
	}
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 20)
			source := startCamera(t)
			s.start(faults{})
			s.pull(source, "one", "1")
			s.pull(source, "two", "1")
			s.pull(source, "three", "0")
			s.audit(4)
			s.crash(part(s.process.engine.Load()))
			s.eventually("the next generation runs", func() bool { return s.generation() == 2 })
			s.eventually("everything plays again", func() bool { return s.playing() == 3 })
			s.audit(4)
		})
	}
}

// The engine itself, and the parts that live as long as the process.
func TestAPartOfTheProcessThatPanicsIsMadeAnew(t *testing.T) {
	for _, name := range []string{"engine-1", "store", "reload", "api"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 20)
			source := startCamera(t)
			s.start(faults{})
			s.pull(source, "one", "1")
			before := s.process.runtime.Stats.Panics.Load()
			s.crash(s.named("supervisor/" + name))
			s.eventually("the panic is counted", func() bool { return s.process.runtime.Stats.Panics.Load() > before })
			s.eventually("it plays", func() bool { return s.playing() == 1 })
			s.eventually("a definition can be stored", func() bool {
				reply, err := s.try("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", "two", "url", source.URL("two"), "rtp_type", "1")
				return err == nil && (reply["code"] == 0.0 || strings.Contains(fmt.Sprint(reply["msg"]), "already exists"))
			})
			s.set("general.maxStreamWaitMS", "1234")
			s.eventually("a reload reaches the configuration", func() bool {
				reply, err := s.try("reloadConfig")
				return err == nil && reply["code"] == 0.0 && s.inForce("general.maxStreamWaitMS") == "1234"
			})
			s.eventually("both play", func() bool { return s.playing() == 2 })
			s.audit(4)
		})
	}
}

func (s *server) inForce(key string) string {
	s.t.Helper()
	reply, err := s.try("getServerConfig")
	if err != nil {
		return ""
	}
	list, _ := reply["data"].([]any)
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprint(list[0].(map[string]any)[key])
}

// Panics of the small actors cost themselves: a proxy comes back, a stream's proxy publishes again, a session is gone.
func TestASmallActorThatPanicsCostsItself(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "one", "1")
	s.pull(source, "two", "1")
	s.audit(4)

	for _, id := range s.ids("/proxies/", "/streams/") {
		s.crash(s.named(id))
	}
	s.eventually("both play again", func() bool { return s.playing() == 2 })
	s.audit(4)
	require.EqualValues(t, 1, s.generation(), "the engine must not have suffered")
}

// ids returns the ids of the actors whose id contains one of the parts.
func (s *server) ids(parts ...string) []string {
	var out []string
	for _, bucket := range s.process.runtime.System.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range bucket.Keys() {
			for _, part := range parts {
				if strings.Contains(id, part) {
					out = append(out, id)
				}
			}
		}
	}
	return out
}

func TestSupervisorThatPanicsEndsTheServerWithAnError(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "one", "1")
	s.crash(s.named("supervisor"))
	err := <-s.ended
	require.ErrorContains(t, err, "supervisor")
	s.end()
	s.end = nil
	s.http.CloseIdleConnections()
	require.Empty(t, s.held())
}

func TestFullRestartIsRefusedWhenItCouldNotWork(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "one", "1")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()

	good := s.keys["http.port"]
	for name, break_ := range map[string]func(){
		"bad range":           func() { s.set("rtp_proxy.port_range", `"29999-20000"`) },
		"taken port":          func() { s.set("http.port", fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)) },
		"missing certificate": func() { s.set("tls.cert_file", `"/no/such/file"`); s.set("tls.key_file", `"/no/such/file"`) },
		"no TOML":             func() { require.NoError(t, os.WriteFile(s.file, []byte("[rtp_proxy"), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			keys := map[string]string{}
			for k, v := range s.keys {
				keys[k] = v
			}
			break_()
			reply := s.call("restartServer", "wait", "1")
			require.NotEqualValues(t, 0, reply["code"], "%v", reply)
			require.EqualValues(t, 1, s.generation())
			require.Equal(t, 1, s.playing(), "nothing may have been touched")
			s.keys = keys
			s.write()
		})
	}
	require.Equal(t, good, s.keys["http.port"])
	reply := s.call("restartServer", "wait", "1")
	require.EqualValues(t, 0, reply["code"], "%v", reply)
	require.EqualValues(t, 2, s.generation())
	s.eventually("it plays", func() bool { return s.playing() == 1 })
}

// A generation that cannot start gives way to one with the configuration from before.
func TestAGenerationThatCannotStartIsRolledBack(t *testing.T) {
	s := newServer(t, 40)
	source := startCamera(t)
	s.start(faults{breaking: func(generation uint64) string {
		if generation == 2 {
			return "streams"
		}
		return ""
	}})
	s.pull(source, "one", "1")
	before := s.inForce("rtp_proxy.port_range")
	low, _ := s.bounds()
	wide := s.keys["rtp_proxy.port_range"]
	s.set("rtp_proxy.port_range", fmt.Sprintf(`"%d-%d"`, low, low+39))
	reply := s.call("restartServer", "wait", "1")
	require.NotEqualValues(t, 0, reply["code"], "%v", reply)
	require.Contains(t, fmt.Sprint(reply["msg"]), "from before")
	require.EqualValues(t, 3, s.generation())
	require.Equal(t, before, s.inForce("rtp_proxy.port_range"))
	s.eventually("it plays", func() bool { return s.playing() == 1 })
	s.keys["rtp_proxy.port_range"] = wide
	s.audit(2)
}

// Listeners stay open throughout a full restart, and move when their address changes.
func TestNoConnectionIsRefusedDuringFullRestarts(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "one", "1")
	stop, refused := make(chan struct{}), make(chan error, 1)
	var dialing sync.WaitGroup
	for range 4 {
		dialing.Go(func() {
			for n := 0; n < 2000; n++ {
				select {
				case <-stop:
					return
				default:
				}
				for _, addr := range []string{s.ready.RTSP.String(), s.ready.HTTP.String()} {
					conn, err := net.Dial("tcp", addr)
					if err != nil {
						select {
						case refused <- err:
						default:
						}
						return
					}
					_ = conn.Close()
				}
			}
		})
	}
	for generation := range 3 {
		s.signals <- syscall.SIGUSR2
		s.eventually("the next generation runs", func() bool { return s.generation() == uint64(generation)+2 })
	}
	close(stop)
	dialing.Wait()
	select {
	case err := <-refused:
		t.Fatal(err)
	default:
	}

	rtsp, web := freePort(t), freePort(t)
	s.set("rtsp.port", fmt.Sprint(rtsp))
	s.set("http.port", fmt.Sprint(web))
	old := s.ready
	reply := s.call("restartServer", "wait", "1")
	require.EqualValues(t, 0, reply["code"], "%v", reply)
	s.http.CloseIdleConnections()
	for _, port := range []int{rtsp, web} {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	s.eventually("the old addresses are closed", func() bool {
		_, err1 := net.Dial("tcp", old.RTSP.String())
		_, err2 := net.Dial("tcp", old.HTTP.String())
		return errors.Is(err1, syscall.ECONNREFUSED) && errors.Is(err2, syscall.ECONNREFUSED)
	})
}

func TestBreakdownsWaitLongerAndLonger(t *testing.T) {
	var b breakdowns
	at := time.Unix(1000, 0)
	require.Zero(t, b.pause(at))
	require.Equal(t, breakPauseMin, b.pause(at.Add(1e9)))
	require.Equal(t, 2*breakPauseMin, b.pause(at.Add(3e9)))
	for range 20 {
		at = at.Add(1e9)
		b.pause(at)
	}
	require.Equal(t, breakPauseMax, b.pause(at.Add(1e9)))
	require.Zero(t, b.pause(at.Add(2*breakWindow)))
}
