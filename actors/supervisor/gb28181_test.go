package supervisor

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gbServer is a server for receivers, whose times are short.
func gbServer(t *testing.T, pairs int) *server {
	t.Helper()
	s := newServer(t, pairs)
	s.keys["pool.drain_idle"], s.keys["pool.drain_max"], s.keys["pool.cool_down"] = `"300ms"`, `"60s"`, `"300ms"`
	s.keys["rtp_proxy.relearn_after"] = `"1s"`
	s.keys["general.wait_audio_track_data_ms"] = "100" // the devices send no sound
	return s
}

// One port, over UDP and TCP, takes in fifty devices at once, and mixes none of them up.
func TestOnePortServesManyDevices(t *testing.T) {
	const devices = 50
	s := gbServer(t, 18)
	port := freePort(t)
	s.keys["rtp_proxy.port"] = strconv.Itoa(port)
	s.start(faults{})
	st := newStage(t)
	all := map[string]*gbDevice{}
	for i := range devices {
		ssrc := 0x0BEB0000 + uint32(i)
		name := fmt.Sprintf("%08X", ssrc)
		all[name] = dialDevice(t, name, ssrc, []string{"udp", "tcp"}[i%2], port)
		st.play(all[name], nil)
	}
	s.eventually("every device is seen", func() bool {
		online := 0
		list, _ := s.call("getMediaList", "app", "rtp")["data"].([]any)
		for _, item := range list {
			if item.(map[string]any)["online"] == true {
				online++
			}
		}
		return online == devices
	})
	// Some are looked at, which costs; of all the packets are counted.
	viewers := map[string]*gbViewer{}
	for i := range 6 {
		name := fmt.Sprintf("%08X", 0x0BEB0000+i)
		v, err := s.view("rtp/" + name)
		require.NoError(t, err)
		viewers[name] = v
	}
	for name, v := range viewers {
		s.eventually("pictures of "+name, func() bool { return v.got() >= 50 })
		require.NoError(t, v.judge(name, 50))
	}
	st.stop()
	// A busy machine's kernel may have dropped datagrams. What comes behind them shows how many; the last ones come while nothing else does.
	for _, d := range all {
		require.NoError(t, d.send(d.next()...))
	}
	s.eventually("every packet has been counted", func() bool {
		listed := s.receivers()
		for name, d := range all {
			if r := listed[name]; r == nil || r["packets"].(float64)+r["lost"].(float64) != float64(d.sent) {
				return false
			}
		}
		return true
	})
	for name, r := range s.receivers() {
		for _, counter := range []string{"late", "strangers", "other_ssrc", "invalid", "restarts", "relocks"} {
			require.Zero(t, r[counter], "%s of %s", counter, name)
		}
		require.Equal(t, true, r["shared"])
		require.Greater(t, r["frames"], 40.0, name)
	}
	s.audit(0)
	require.Nil(t, s.call("listRtpServer")["data"], "what was not opened is not listed to clients that close what they do not know")
}

// Devices behind openRtpServerMultiplex are told apart like those on the fixed port.
func TestMultiplexPortServesManyDevices(t *testing.T) {
	s := gbServer(t, 18)
	s.start(faults{})
	reply := s.call("openRtpServerMultiplex", "port", "0", "stream_id", "many", "tcp_mode", "1")
	require.EqualValues(t, 0, reply["code"], "%v", reply)
	port := int(reply["port"].(float64))
	st := newStage(t)
	for i := range 6 {
		name := fmt.Sprintf("%08X", 0xA0+i)
		st.play(dialDevice(t, name, 0xA0+uint32(i), []string{"udp", "tcp"}[i%2], port), nil)
	}
	for i := range 6 {
		name := fmt.Sprintf("%08X", 0xA0+i)
		s.eventually(name+" is played", func() bool {
			v, err := s.view("rtp/" + name)
			if err != nil {
				return false
			}
			s.eventually("pictures", func() bool { return v.got() >= 10 })
			require.NoError(t, v.judge(name, 10))
			return true
		})
	}
	s.audit(1)
	require.EqualValues(t, 1, s.call("closeRtpServer", "stream_id", "many")["hit"])
	s.eventually("its streams have ended", func() bool { return s.call("getMediaList", "app", "rtp")["data"] == nil })
	s.audit(0)
}

// What was open before a full restart, and before a restart of the process, is open after it: receivers on their ports, and senders to their peers.
func TestReceiversAndSendersComeBackAfterRestarts(t *testing.T) {
	s := gbServer(t, 30)
	s.keys["pool.drain_idle"] = `"1s"`
	s.start(faults{})
	st := newStage(t)
	ports := map[string]int{}
	for i, mode := range []string{"0", "0", "0", "1", "2"} {
		name := fmt.Sprintf("cam%d", i)
		ports[name] = s.open(name, "tcp_mode", mode)
	}
	for i := range 3 {
		name := fmt.Sprintf("cam%d", i)
		st.play(dialDevice(t, name, 100+uint32(i), "udp", ports[name]), nil)
	}
	s.eventually("the devices are seen", func() bool { return s.online() == 3 })
	upper, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer upper.Close() //nolint:errcheck // only read
	reply := s.call("startSendRtp", "vhost", "v", "app", "rtp", "stream", "cam0", "ssrc", "7", "dst_url", "127.0.0.1",
		"dst_port", strconv.Itoa(upper.LocalAddr().(*net.UDPAddr).Port), "is_udp", "1")
	require.EqualValues(t, 0, reply["code"], "%v", reply)
	local := int(reply["local_port"].(float64))
	require.Equal(t, local, heardFrom(t, upper))

	comesBack := func(how string) {
		s.eventually("the devices are seen after "+how, func() bool { return s.online() == 3 })
		for name, r := range s.receivers() {
			require.EqualValues(t, ports[name], r["port"], "%s after %s", name, how)
			require.Equal(t, true, r["restored"], "%s after %s", name, how)
		}
		require.Len(t, s.receivers(), len(ports))
		drainSocket(upper)
		require.Equal(t, local, heardFrom(t, upper), "the sender's port after %s", how)
		for i := range 3 {
			name := fmt.Sprintf("cam%d", i)
			v, err := s.view("rtp/" + name)
			require.NoError(t, err)
			s.eventually("pictures after "+how, func() bool { return v.got() >= 10 })
			require.NoError(t, v.judge(name, 10))
			v.client.Close()
		}
	}
	reply = s.call("restartServer", "wait", "1")
	require.EqualValues(t, 0, reply["code"], "%v", reply)
	comesBack("a full restart")
	s.stop()
	s.start(faults{})
	comesBack("a restart of the process")

	// A platform that opens what it had before gets it; after that it is taken.
	require.Equal(t, ports["cam4"], s.open("cam4", "tcp_mode", "2"))
	require.EqualValues(t, -300, s.call("openRtpServer", "port", "0", "stream_id", "cam4", "tcp_mode", "2")["code"])
	for name := range ports {
		require.EqualValues(t, 1, s.call("closeRtpServer", "stream_id", name)["hit"], name)
	}
	s.eventually("the senders ended with their source", func() bool {
		return s.call("listRtpSender", "vhost", "v", "app", "rtp", "stream", "cam0")["code"] == -500.0
	})
	s.call("stopSendRtp", "vhost", "v", "app", "rtp", "stream", "cam0")
	s.audit(0)
	s.stop()
	s.start(faults{})
	require.Empty(t, s.receivers(), "what was closed does not come back")
	s.audit(0)
}

// online counts streams that devices push.
func (s *server) online() int {
	n := 0
	list, _ := s.call("getMediaList", "app", "rtp")["data"].([]any)
	for _, item := range list {
		if m := item.(map[string]any); m["online"] == true && m["originType"] == 3.0 {
			n++
		}
	}
	return n
}

// heardFrom waits for a packet and says which port sent it.
func heardFrom(t *testing.T, conn *net.UDPConn) int {
	t.Helper()
	buf := make([]byte, 2048)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, from, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	return int(from.Port())
}

// drainSocket takes what has come so far.
func drainSocket(conn *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, _, err := conn.ReadFromUDPAddrPort(buf); err != nil {
			return
		}
	}
}

// mustView plays a stream as soon as there is one.
func (s *server) mustView(path string) *gbViewer {
	s.t.Helper()
	var v *gbViewer
	err := errors.New("not tried")
	s.eventually(path+" can be played", func() bool {
		v, err = s.view(path)
		return err == nil
	})
	return v
}
