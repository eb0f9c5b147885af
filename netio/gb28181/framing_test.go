package gb28181

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rtpPacket returns an RTP packet of payload type 96.
func rtpPacket(ssrc uint32, seq uint16, payload []byte) []byte {
	b := []byte{0x80, 96, byte(seq >> 8), byte(seq), 0, 0, 0, 0}
	return append(binary.BigEndian.AppendUint32(b, ssrc), payload...)
}

// reportOf returns an RTCP sender report without blocks.
func reportOf(ssrc uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x80, 200, 0, 6}, ssrc)
	return append(b, make([]byte, 20)...)
}

func framed(k Framing, pkts ...[]byte) []byte {
	var out []byte
	for _, p := range pkts {
		out = append(k.AppendHeader(out, len(p), IsRTCP(p)), p...)
	}
	return out
}

// pushed gives the bytes to a Framer in pieces and returns copies of the packets.
func pushed(f *Framer, pieces ...[]byte) [][]byte {
	var got [][]byte
	for _, piece := range pieces {
		f.Push(piece, func(pkt []byte) { got = append(got, bytes.Clone(pkt)) })
	}
	return got
}

func sequenceOf(pkts [][]byte) []int {
	var out []int
	for _, p := range pkts {
		if IsRTCP(p) {
			out = append(out, -1)
		} else {
			out = append(out, int(binary.BigEndian.Uint16(p[2:])))
		}
	}
	return out
}

func bothFramings(t *testing.T, test func(t *testing.T, k Framing)) {
	for _, k := range []Framing{FramingLength, FramingInterleaved} {
		t.Run(k.String(), func(t *testing.T) { test(t, k) })
	}
}

// noise is bytes that begin no packet but are not distinguishable from one at a glance: half of them look like a version field.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

const ssrcA, ssrcB = 0x0a689ebc, 0x11223344

func stream(n, size int) [][]byte {
	var out [][]byte
	for i := range n {
		out = append(out, rtpPacket(ssrcA, uint16(i), bytes.Repeat([]byte{byte(i)}, size)))
	}
	return out
}

func TestPacketsComeOutWhereverTheyAreCut(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		rapid.Check(t, func(t *rapid.T) {
			var pkts [][]byte
			for i := range rapid.IntRange(1, 40).Draw(t, "packets") {
				ssrc := rapid.SampledFrom([]uint32{ssrcA, ssrcB}).Draw(t, "ssrc")
				if rapid.IntRange(0, 9).Draw(t, "report") == 0 {
					pkts = append(pkts, reportOf(ssrc))
					continue
				}
				size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(1300, 1500), rapid.IntRange(0, maxPacket-rtpHeaderSize)).Draw(t, "size")
				pkts = append(pkts, rtpPacket(ssrc, uint16(i), noise(size)))
			}
			// A source that is new in the middle of a connection is believed with its second packet.
			pkts = append(pkts, rtpPacket(ssrcA, 100, nil), rtpPacket(ssrcA, 101, nil))
			wire := framed(k, pkts...)
			f := &Framer{}
			var got [][]byte
			for len(wire) > 0 {
				n := min(len(wire), rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 65536)).Draw(t, "cut"))
				got = append(got, pushed(f, bytes.Clone(wire[:n]))...)
				wire = wire[n:]
			}
			require.Equal(t, pkts, got)
			require.Zero(t, f.Skipped())
			require.Zero(t, f.Held())
			require.Equal(t, k, f.Kind())
		})
	})
}

func TestPacketsComeOutByteByByte(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		pkts := append(stream(20, 100), reportOf(ssrcA))
		f := &Framer{}
		var got [][]byte
		for _, b := range framed(k, pkts...) {
			got = append(got, pushed(f, []byte{b})...)
		}
		require.Equal(t, pkts, got)
		require.Zero(t, f.Skipped())
	})
}

// The first packet is not held back until the next one comes: it may be the only one for a while.
func TestALonePacketIsNotHeldBack(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		f := &Framer{}
		for i, p := range stream(5, 20) {
			require.Len(t, pushed(f, framed(k, p)), 1, "packet %d", i)
		}
	})
}

func TestPacketsAreFoundAgainAfterGarbage(t *testing.T) {
	pkts := stream(60, 1400)
	for _, garbage := range []struct {
		name  string
		bytes []byte
	}{
		{"one byte", []byte{'a'}},
		{"a dollar sign", []byte{'$'}},
		{"zeros", make([]byte, 777)},
		{"text", []byte("GET / HTTP/1.1\r\nHost: berth\r\n\r\n")},
		{"noise", noise(5000)},
		{"a stranger's header and nothing behind it", framed(FramingLength, rtpPacket(ssrcB, 1, nil))[:10]},
		{"a header that announces 64 KiB", []byte{0xff, 0xff, 0x80, 96, 0, 1, 0, 0, 0, 0, 9, 9, 9, 9}},
		{"more than is searched for known sources", make([]byte, giveUpKnown+100)},
	} {
		t.Run(garbage.name, func(t *testing.T) {
			bothFramings(t, func(t *testing.T, k Framing) {
				for _, cut := range []int{1, 1000, 1 << 20} {
					f := &Framer{}
					wire := append(framed(k, pkts[:3]...), garbage.bytes...)
					wire = append(wire, framed(k, pkts[3:]...)...)
					var got [][]byte
					for len(wire) > 0 {
						n := min(cut, len(wire))
						got = append(got, pushed(f, wire[:n])...)
						wire = wire[n:]
					}
					require.Equal(t, sequenceOf(pkts), sequenceOf(got), "pieces of %d bytes", cut)
					require.Equal(t, uint64(len(garbage.bytes)), f.Skipped())
					require.Equal(t, k, f.Kind())
				}
			})
		})
	}
}

func TestAConnectionMayBeginInTheMiddle(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		pkts := stream(60, 1400)
		for _, from := range []int{1, 2, 3, 5, 700} {
			f := &Framer{}
			got := pushed(f, framed(k, pkts...)[from:])
			require.Equal(t, sequenceOf(pkts[1:]), sequenceOf(got), "beginning at %d", from)
			require.Equal(t, k, f.Kind())
		}
	})
}

func TestNoiseAtTheBeginningCostsNoPacket(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		pkts := stream(120, 1400)
		for _, n := range []int{1, 2, 3, 100, 3000} {
			f := &Framer{}
			got := pushed(f, append(noise(n), framed(k, pkts...)...))
			require.Equal(t, sequenceOf(pkts), sequenceOf(got), "%d bytes of noise", n)
		}
	})
}

// A device whose socket is full and that drops the rest of a write sends a length that reaches into the packets behind it.
func TestAPacketCutShortDoesNotSwallowItsSuccessors(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		pkts := stream(10, 1400)
		wire := framed(k, pkts[:3]...)
		wire = append(wire, framed(k, pkts[3])[:500]...)
		wire = append(wire, framed(k, pkts[4:]...)...)
		f := &Framer{}
		require.Equal(t, []int{0, 1, 2, 4, 5, 6, 7, 8, 9}, sequenceOf(pushed(f, wire)))
		require.Equal(t, uint64(500), f.Skipped())
	})
}

func TestAGoodPacketBeforeGarbageIsKept(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		pkts := stream(4, 300)
		wire := append(framed(k, pkts[:2]...), "garbage"...)
		require.Equal(t, []int{0, 1, 2, 3}, sequenceOf(pushed(&Framer{}, append(wire, framed(k, pkts[2:]...)...))))
	})
}

// A connection may carry another source after a while: the device was invited anew, or the sound has its own SSRC.
func TestAnotherSourceIsTakenInStep(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		f := &Framer{}
		got := pushed(f, framed(k, rtpPacket(ssrcA, 1, noise(50)), rtpPacket(ssrcB, 2, noise(50)), reportOf(9), rtpPacket(7, 3, noise(60)), rtpPacket(ssrcA, 4, nil)))
		require.Equal(t, []int{1, 2, -1, 3, 4}, sequenceOf(got))
		require.Zero(t, f.Skipped())
	})
}

func TestAnotherSourceIsFoundAfterMuchGarbage(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		first := framed(k, rtpPacket(ssrcB, 77, noise(50)))
		rest := append(make([]byte, giveUpKnown), framed(k, stream(4, 1400)...)...)
		require.Equal(t, []int{77, 0, 1, 2, 3}, sequenceOf(pushed(&Framer{}, first, rest)))
	})
}

func TestTheFramingMayChangeAfterGarbage(t *testing.T) {
	first := framed(FramingLength, rtpPacket(ssrcB, 77, noise(50)))
	rest := append(make([]byte, giveUpKnown), framed(FramingInterleaved, stream(4, 1400)...)...)
	f := &Framer{}
	require.Equal(t, []int{77, 0, 1, 2, 3}, sequenceOf(pushed(f, first, rest)))
	require.Equal(t, FramingInterleaved, f.Kind())
}

// 0x24 is `$` and the high byte of a length of 9216 to 9471.
func TestALengthThatLooksLikeADollarSign(t *testing.T) {
	pkts := stream(5, 0x2410-rtpHeaderSize)
	f := &Framer{}
	require.Equal(t, pkts, pushed(f, framed(FramingLength, pkts...)))
	require.Equal(t, FramingLength, f.Kind())
}

func ehomeConnection(pkts ...[]byte) []byte {
	head := make([]byte, ehomePreambleSize)
	copy(head, "\x01\x00\x01\x00\x01\x02\x03")
	return append(head, framed(FramingInterleaved, pkts...)...)
}

func TestThePrivateHeaderOfEhomeIsPassedOver(t *testing.T) {
	pkts := stream(5, 300)
	f := &Framer{}
	var got [][]byte
	for _, b := range ehomeConnection(pkts...) {
		got = append(got, pushed(f, []byte{b})...)
	}
	require.Equal(t, pkts, got)
	require.Zero(t, f.Skipped())
}

// A length of 256 is 01 00 on the wire, as the private header of Ehome begins.
func TestAPacketOf256BytesIsNoEhome(t *testing.T) {
	pkts := stream(5, 256-rtpHeaderSize)
	f := &Framer{}
	require.Equal(t, pkts, pushed(f, framed(FramingLength, pkts...)))
	require.Equal(t, FramingLength, f.Kind())
}

func TestWholePacketsAreNotCopied(t *testing.T) {
	wire := framed(FramingLength, stream(10, 1400)...)
	f := &Framer{}
	f.Push(wire, func(pkt []byte) {
		at := 2
		for ; &wire[at] != &pkt[0]; at++ {
			require.Less(t, at, len(wire)-1, "the packet does not lie in what was pushed")
		}
	})
}

func TestPacketsAfterACutOneAreNotCopied(t *testing.T) {
	wire := framed(FramingInterleaved, stream(4, 1400)...)
	first, second := bytes.Clone(wire[:1000]), bytes.Clone(wire[1000:])
	f := &Framer{}
	require.Empty(t, pushed(f, first))
	n, inside := 0, 0
	f.Push(second, func(pkt []byte) {
		n++
		if bytes.Contains(second, pkt) && &second[bytes.Index(second, pkt)] == &pkt[0] {
			inside++
		}
	})
	require.Equal(t, 4, n)
	require.Equal(t, 3, inside)
}

func TestTheBufferIsLetGo(t *testing.T) {
	f := &Framer{}
	big := framed(FramingLength, rtpPacket(ssrcA, 1, noise(60000)))
	pushed(f, big[:50000])
	require.Equal(t, 50000, f.Held())
	f.Release()
	require.Equal(t, 50000, f.Held(), "what is needed must stay")
	require.Len(t, pushed(f, big[50000:]), 1)
	require.Greater(t, cap(f.buf), 2*smallBuffer)
	for i := range uint16(shrinkAfter) {
		small := framed(FramingLength, rtpPacket(ssrcA, i, noise(1000)))
		require.Len(t, pushed(f, small[:500], small[500:]), 1)
	}
	require.Zero(t, cap(f.buf))
	small := framed(FramingLength, rtpPacket(ssrcA, 3, noise(1000)))
	pushed(f, small[:500], small[500:])
	require.NotZero(t, cap(f.buf))
	f.Release()
	require.Zero(t, cap(f.buf))
}

func TestFramingAllocatesNothing(t *testing.T) {
	wire := framed(FramingLength, stream(20, 1400)...)
	f := &Framer{}
	count := func([]byte) {}
	require.Zero(t, testing.AllocsPerRun(50, func() {
		f.Push(wire[:3000], count)
		f.Push(wire[3000:20000], count)
		f.Push(wire[20000:], count)
	}))
}

func FuzzFramer(f *testing.F) {
	pkts := stream(4, 60)
	for _, k := range []Framing{FramingLength, FramingInterleaved} {
		wire := framed(k, append(pkts, reportOf(ssrcA))...)
		f.Add(wire, uint16(7))
		f.Add(append([]byte("noise"), wire...), uint16(1))
		f.Add(append(framed(k, pkts[0])[:40], wire...), uint16(100))
	}
	f.Add(ehomeConnection(pkts...), uint16(30))
	f.Add(bytes.Repeat([]byte{0x80}, 70000), uint16(900))
	f.Add(append(bytes.Repeat([]byte{0x80}, 34000), make([]byte, 34000)...), uint16(3))
	f.Add([]byte("$\x00\xff\xff\x80"), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		fr := &Framer{}
		taken, given := 0, 0
		check := func(pkt []byte) {
			taken += len(pkt) + fr.framing.HeaderSize()
			if len(pkt) < rtcpHeaderSize || pkt[0]>>6 != 2 || !IsRTCP(pkt) && len(pkt) < rtpHeaderSize {
				t.Fatalf("not a packet: %x", pkt[:min(len(pkt), 16)])
			}
		}
		for len(b) > 0 {
			n := min(len(b), int(cut)+1)
			given += n
			fr.Push(b[:n], check)
			b = b[n:]
			if fr.Held() > maxHeld {
				t.Fatalf("%d bytes held", fr.Held())
			}
		}
		if got := taken + int(fr.Skipped()) + fr.Held(); got != given && got != given-ehomePreambleSize {
			t.Fatalf("%d bytes given, %d accounted for", given, got)
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	wire := framed(FramingLength, stream(40, 1400)...)
	f := &Framer{}
	n := 0
	count := func([]byte) { n++ }
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		f.Push(wire[:30000], count)
		f.Push(wire[30000:], count)
	}
	if n == 0 {
		b.Fatal("no packets")
	}
}
