//go:build linux

package benchmarks

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkFanoutUDPBaseline sends the same packets as BenchmarkFanoutUDP by a bare loop: one sendmsg a viewer for each picture and each sound packet, the kernel making the packets of a picture.
func BenchmarkFanoutUDPBaseline(b *testing.B) {
	for _, viewers := range []int{1, 200} {
		for _, gso := range []bool{true, false} {
			b.Run(fmt.Sprintf("loop/gso=%t/viewers=%d", gso, viewers), func(b *testing.B) {
				addrs := startViewers(b, "udp", 2*viewers)
				to := make([]unix.Sockaddr, len(addrs))
				for i, a := range addrs {
					to[i] = &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
				}
				var bytes, writes uint64
				send := func(conn *net.UDPConn, to unix.Sockaddr, data, control []byte) {
					raw, err := conn.SyscallConn()
					require.NoError(b, err)
					require.NoError(b, raw.Control(func(fd uintptr) {
						if n, err := unix.SendmsgN(int(fd), data, control, to, 0); err == nil {
							bytes += uint64(n)
							writes++
						}
					}))
				}
				control := segmentControl()
				video, audio := benchPair(b), benchPair(b)
				data := make([]byte, 64<<10)
				b.ResetTimer()
				measure(b, func() {
					play(b, func(n int) {
						for i := range viewers {
							for rest := picturePackets(n); rest > 0; {
								part := 1
								if gso {
									part = min(rest, 46)
								}
								oob := control
								if part == 1 {
									oob = nil
								}
								send(video.RTP, to[2*i], data[:part*packetBytes], oob)
								rest -= part
							}
						}
					}, func() {
						for i := range viewers {
							send(audio.RTP, to[2*i+1], data[:soundBytes], nil)
						}
					})
				}, func() (uint64, uint64) { return bytes, writes })
			})
		}
	}
}

// segmentControl is the ancillary message that asks the kernel to cut at packetBytes (udp(7), UDP_SEGMENT).
func segmentControl() []byte {
	c := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(c[unix.CmsgLen(0):], packetBytes)
	return c
}
