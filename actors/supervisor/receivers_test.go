package supervisor

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/store"
)

// freeSharedPort finds a port that nobody has over TCP or UDP.
func freeSharedPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := freePort(t)
		if conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err == nil {
			require.NoError(t, conn.Close())
			return port
		}
	}
	t.Fatal("no port is free over both")
	return 0
}

// The story of ZLMediaKit's issue 3667 with receivers: the range is full and is said to be, a raised range waits for a full restart and is said to, and the full restart makes room and loses nothing.
func TestAFullRangeOfReceiversIsRaisedByAFullRestart(t *testing.T) {
	s := newServer(t, 18)
	low := int(actortest.FreeRange(t, 30).Low)
	s.keys["rtp_proxy.port_range"] = fmt.Sprintf(`"%d-%d"`, low, low+35)
	s.start(faults{})
	had := map[string]int{}
	for i := range 18 {
		name := fmt.Sprint("r", i)
		had[name] = s.open(name)
	}
	s.audit(18)
	refused := s.call("openRtpServer", "port", "0", "stream_id", "more")
	require.EqualValues(t, -400, refused["code"], "%v", refused)
	require.Contains(t, refused["msg"], "none reserved port in pool")

	wide := fmt.Sprintf("%d-%d", low, low+59)
	s.set("rtp_proxy.port_range", strconv.Quote(wide))
	require.EqualValues(t, 0, s.call("reloadConfig")["code"])
	refused = s.call("openRtpServer", "port", "0", "stream_id", "more")
	require.Contains(t, refused["msg"], wide+" in the configuration waits for a full restart")

	reply := s.call("restartServer", "wait", "1")
	require.EqualValues(t, 0, reply["code"], "%v", reply)
	s.pairs = 30
	data := reply["data"].(map[string]any)
	require.EqualValues(t, 18, data["restored"], "%v", data)
	for name, r := range s.receivers() {
		require.EqualValues(t, had[name], r["port"], name)
	}
	for i := range 12 {
		s.open(fmt.Sprint("new", i))
	}
	s.audit(30)
	for name, port := range had {
		require.Equal(t, port, s.open(name), "a receiver that came back is taken over")
	}
}

// Panics of receivers and of devices cost themselves, whatever they are doing.
func TestReceiversThatPanicComeBack(t *testing.T) {
	s := gbServer(t, 20)
	shared := freeSharedPort(t)
	s.keys["rtp_proxy.port"] = strconv.Itoa(shared)
	s.start(faults{})
	st := newStage(t)
	for i := range 4 {
		st.play(dialDevice(t, fmt.Sprint("r", i), uint32(i), "udp", s.open(fmt.Sprint("r", i))), nil)
	}
	st.play(dialDevice(t, "000000AA", 0xAA, "tcp", shared), nil)
	st.play(dialDevice(t, "000000BB", 0xBB, "udp", shared), nil)
	s.eventually("all are published", func() bool { return s.online() == 6 })
	for _, id := range s.ids("/receivers/", "/streams/") {
		s.crash(s.named(id))
	}
	s.eventually("the receivers are there again", func() bool { return len(s.ids("/receivers/rtp_r")) == 4 })
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", shared))
	require.NoError(t, err, "the shared port is open")
	require.NoError(t, conn.Close())
	s.eventually("what sends over UDP is published again", func() bool { return s.online() >= 5 })
	s.audit(4)
	require.EqualValues(t, 1, s.generation(), "the engine must not have suffered")
	require.GreaterOrEqual(t, len(s.receivers()), 5)
}

// The port that devices share stays open over a full restart, over TCP and UDP, and moves when it is told to.
func TestTheSharedPortOutlivesTheEngine(t *testing.T) {
	s := gbServer(t, 20)
	shared := freeSharedPort(t)
	s.keys["rtp_proxy.port"] = strconv.Itoa(shared)
	s.start(faults{})
	require.EqualValues(t, shared, s.ready.RTP.Port())
	st := newStage(t)
	st.play(dialDevice(t, "000000BB", 0xBB, "udp", shared), nil)
	for generation := range 3 {
		s.eventually("it is published", func() bool { return s.online() == 1 })
		if generation == 1 {
			s.crash(s.process.engine.Load().Receivers)
			s.eventually("the next generation runs", func() bool { return s.generation() == 3 })
			continue
		}
		require.EqualValues(t, 0, s.call("restartServer", "wait", "1")["code"])
	}
	s.eventually("it is published", func() bool { return s.online() == 1 })

	next := freeSharedPort(t)
	s.set("rtp_proxy.port", fmt.Sprint(next))
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: next})
	require.NoError(t, err)
	reply := s.call("restartServer", "wait", "1")
	require.NotEqualValues(t, 0, reply["code"])
	require.Contains(t, strings.ToLower(fmt.Sprint(reply["msg"])), "listen udp")
	require.Equal(t, 1, s.online(), "nothing was touched")
	require.NoError(t, taken.Close())
	require.EqualValues(t, 0, s.call("restartServer", "wait", "1")["code"])
	st.play(dialDevice(t, "000000CC", 0xCC, "udp", next), nil)
	s.eventually("devices are heard there", func() bool { _, ok := s.receivers()["000000CC"]; return ok })
	s.eventually("the old port is closed", func() bool {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: shared})
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// A store that fails while receivers come and go knows them all in the end.
func TestReceiversOutliveTheStore(t *testing.T) {
	s := newServer(t, 20)
	s.start(faults{})
	ports := map[string]int{}
	for i := range 5 {
		ports[fmt.Sprint("r", i)] = s.open(fmt.Sprint("r", i))
	}
	s.process.runtime.System.Root.Send(s.named("supervisor/store"), &actors.Crash{})
	for i := 5; i < 10; i++ {
		ports[fmt.Sprint("r", i)] = s.open(fmt.Sprint("r", i))
	}
	require.EqualValues(t, 1, s.call("closeRtpServer", "stream_id", "r0")["hit"])
	delete(ports, "r0")
	s.eventually("the next store knows what runs", func() bool {
		limited, cancel := context.WithTimeout(t.Context(), time.Second) // what is asked of a store that fails is not answered
		defer cancel()
		stored, err := actors.Ask[*store.Receivers](limited, s.process.runtime.System, s.named("supervisor/store"), &store.ListReceivers{})
		if err != nil || len(stored.Receivers) != len(ports) {
			return false
		}
		for _, def := range stored.Receivers {
			if ports[def.Key.Stream] == 0 {
				return false
			}
		}
		return true
	})
	require.EqualValues(t, 0, s.call("restartServer", "wait", "1")["code"])
	require.Len(t, s.receivers(), len(ports))
	for name, r := range s.receivers() {
		require.EqualValues(t, ports[name], r["port"], name)
	}
	s.audit(9)
}
