//go:build linux

package benchmarks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors/streams"
	"berth/media"
	"berth/media/hub"
	"berth/media/remux"
	"berth/netio/gb28181"
)

// receiversEnv makes the test binary a process that receives: "parsed|unwatched|loop N".
const receiversEnv = "BERTH_BENCH_RECEIVERS"

// received is what the measured process tells of itself.
type received struct {
	Packets, Frames, Lost, Drops uint64
	Goroutines                   int
	HeapBytes                    uint64
}

// TestReceiversChild is no test: it is the measured process of the receiver benchmarks. It answers each line of input with its counters, and works until its input is closed.
func TestReceiversChild(t *testing.T) {
	args := strings.Fields(os.Getenv(receiversEnv))
	if len(args) != 2 {
		t.Skip("serves the receiver benchmarks")
	}
	n, err := strconv.Atoi(args[1])
	require.NoError(t, err)
	if name := os.Getenv(profileEnv); name != "" {
		f, err := os.Create(name)
		require.NoError(t, err)
		require.NoError(t, pprof.StartCPUProfile(f))
		defer func() { pprof.StopCPUProfile(); require.NoError(t, f.Close()) }()
	}
	lines := bufio.NewScanner(os.Stdin)
	debug.FreeOSMemory()
	fmt.Println("ready")
	lines.Scan() // the other side has looked at the memory
	var count func() received
	if args[0] == "loop" {
		count = rawLoop(t, n)
	} else {
		count = receivers(t, n, args[0] == "parsed")
	}
	for lines.Scan() {
		if lines.Text() == "tidy" {
			debug.FreeOSMemory()
		}
		c := count()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		c.Goroutines, c.HeapBytes = runtime.NumGoroutine(), m.HeapAlloc
		text, err := json.Marshal(c)
		require.NoError(t, err)
		fmt.Println("is", string(text))
	}
}

// receivers opens n of them, each with a hub.
func receivers(t *testing.T, n int, needed bool) func() received {
	var all []*gb28181.Receiver
	buffers, memory := &gb28181.Buffers{}, streams.NewMemory()
	for range n {
		rtp, rtcp := freeUDPPair(t)
		var source *gb28181.Source
		source = gb28181.NewSource(gb28181.SourceOptions{
			Payloads: gb28181.PayloadTypes{PS: 96, H264: 98, H265: 99, Opus: 100},
			Tracks:   remux.AssemblerOptions{WaitAddTrack: 100 * time.Millisecond},
			Buffers:  buffers,
			OnDemand: func() bool { return needed },
			Ready: func(tracks []*media.Track) {
				go func() {
					h := hub.New(tracks, hub.Options{Memory: memory})
					w, numbers, err := h.Attach(tracks)
					if err == nil {
						source.Attach(w, numbers)
					}
				}()
			},
		})
		r, err := gb28181.NewReceiver(gb28181.ReceiverOptions{Source: source, RTP: rtp, RTCP: rtcp, ReadBuffer: 4 << 20, Buffers: buffers})
		require.NoError(t, err)
		all = append(all, r)
		fmt.Println("at", rtp.LocalAddr())
	}
	return func() (sum received) {
		for _, r := range all {
			s := r.Source().Stats()
			sum.Packets += s.Packets
			sum.Frames += s.Frames
			sum.Lost += s.Lost
			sum.Drops += r.Status().Drops
		}
		return sum
	}
}

func freeUDPPair(t *testing.T) (rtp, rtcp *net.UDPConn) {
	for range 1000 {
		first, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		port := first.LocalAddr().(*net.UDPAddr).Port
		second, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port ^ 1})
		if err != nil {
			_ = first.Close()
			continue
		}
		return first, second
	}
	t.Fatal("no free pairs")
	return nil, nil
}

// rawLoop is the bare loop beside the receivers: it reads n sockets with epoll and recvmmsg, and looks at nothing.
func rawLoop(t *testing.T, n int) func() received {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20))
		require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		require.NoError(t, unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET&(1<<32-1), Fd: int32(fd)})) //nolint:gosec // a descriptor
		fmt.Println("at", localPort(fd))
	}
	var packets atomic.Uint64
	var ready sync.WaitGroup
	ready.Add(1)
	go func() {
		runtime.LockOSThread()
		ready.Done()
		d := newDatagrams()
		events := make([]unix.EpollEvent, 128)
		for {
			k, err := unix.EpollWait(poll, events, -1)
			if err != nil && err != unix.EINTR {
				return
			}
			for _, e := range events[:max(k, 0)] {
				for {
					n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(e.Fd), uintptr(unsafe.Pointer(&d.heads[0])), uintptr(len(d.heads)), unix.MSG_DONTWAIT, 0, 0)
					if errno != 0 {
						break
					}
					packets.Add(uint64(n))
					if int(n) < len(d.heads) { //nolint:gosec // at most 64
						break
					}
				}
			}
		}
	}()
	ready.Wait()
	return func() received { return received{Packets: packets.Load()} }
}
