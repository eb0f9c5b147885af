package supervisor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// What the devices of these tests send: 25 pictures a second in MPEG-PS, a key picture each time out of ten. Every picture says whose it is, and is checked.
const (
	pictureEvery = 40 * time.Millisecond
	pictureTicks = 3600 // of 90 kHz
	keyEvery     = 10
	pictureBytes = 3000 // three packets
	packetBytes  = 1200
)

// Parameter sets of 1920x1080, baseline.
var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	testPPS = []byte{0x68, 0xce, 0x3c, 0x80}
)

// gbDevice is a camera that pushes RTP. It belongs to one goroutine.
type gbDevice struct {
	name     string // in every picture
	ssrc     uint32
	seq      uint16
	pictures uint32 // made
	sent     uint64 // packets handed to the network
	conn     net.Conn
}

// next makes the packets of the next picture.
func (d *gbDevice) next() [][]byte {
	ps := d.picture()
	time := 1000 + d.pictures*pictureTicks
	d.pictures++
	var packets [][]byte
	for len(ps) > 0 {
		n := min(len(ps), packetBytes)
		packet := make([]byte, 12, 12+n)
		packet[0], packet[1] = 0x80, 96
		if n == len(ps) {
			packet[1] |= 0x80
		}
		binary.BigEndian.PutUint16(packet[2:], d.seq)
		binary.BigEndian.PutUint32(packet[4:], time)
		binary.BigEndian.PutUint32(packet[8:], d.ssrc)
		d.seq++
		packets = append(packets, append(packet, ps[:n]...))
		ps = ps[n:]
	}
	return packets
}

// send hands packets to the network; nobody may listen there.
func (d *gbDevice) send(packets ...[]byte) error {
	_, datagrams := d.conn.(*net.UDPConn)
	for _, packet := range packets {
		if !datagrams {
			packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
		}
		d.sent++
		if _, err := d.conn.Write(packet); err != nil && (!datagrams || errors.Is(err, net.ErrClosed)) {
			return err
		}
	}
	return nil
}

// picture is one picture in a pack (ISO/IEC 13818-1 section 2.5).
func (d *gbDevice) picture() []byte {
	stamp := uint64(90000) + uint64(d.pictures)*pictureTicks
	ps := []byte{
		0, 0, 1, 0xba, 0x44 | byte(stamp>>27&0x38) | byte(stamp>>28&3), byte(stamp >> 20), 0x04 | byte(stamp>>12&0xf8) | byte(stamp>>13&3), byte(stamp >> 5), 0x04 | byte(stamp<<3), 0x01,
		0x00, 0x1a, 0x8b, 0xf8,
	}
	slice := []byte{0x41, 0x9a}
	var access []byte
	if d.pictures%keyEvery == 0 {
		ps = append(ps, 0, 0, 1, 0xbb, 0, 9, 0x80, 0x1a, 0x8b, 0x04, 0xe1, 0x7f, 0xe0, 0xe0, 0x80)
		ps = append(ps, streamMap()...)
		access = append(append(append(append(access, 0, 0, 0, 1), testSPS...), 0, 0, 0, 1), testPPS...)
		slice = []byte{0x65, 0x88}
	}
	text := fmt.Sprintf("%s %08d ", d.name, d.pictures)
	text += strings.Repeat("x", pictureBytes-len(text))
	access = append(append(append(access, 0, 0, 0, 1), slice...), text...)
	access = fmt.Appendf(access, "%08x", crc32.ChecksumIEEE([]byte(text)))
	header := []byte{
		0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(stamp>>29&0x0e), byte(stamp >> 22), 0x01 | byte(stamp>>14&0xfe), byte(stamp >> 7), 0x01 | byte(stamp<<1),
	}
	binary.BigEndian.PutUint16(header[4:], uint16(len(access)+8))
	return append(append(ps, header...), access...)
}

// streamMap announces H.264 and nothing else.
func streamMap() []byte {
	m := []byte{0, 0, 1, 0xbc, 0, 14, 0xe1, 0xff, 0, 0, 0, 4, 0x1b, 0xe0, 0, 0}
	sum := uint32(0xffffffff)
	for _, b := range m {
		sum ^= uint32(b) << 24
		for range 8 {
			if sum&(1<<31) != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return binary.BigEndian.AppendUint32(m, sum)
}

// gbViewer plays one stream and judges every picture.
type gbViewer struct {
	client gortsplib.Client

	mu      sync.Mutex
	names   map[string]int // pictures by whose they are
	numbers []uint32       // of the pictures, in order
	faults  []string
}

// view plays a stream until the end of the test or close.
func (s *server) view(path string) (*gbViewer, error) {
	u, err := base.ParseURL(fmt.Sprintf("rtsp://%s/%s", s.ready.RTSP, path))
	if err != nil {
		return nil, err
	}
	tcp := gortsplib.ProtocolTCP
	v := &gbViewer{names: map[string]int{}, client: gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &tcp}}
	if err := v.client.Start(); err != nil {
		return nil, err
	}
	described, _, err := v.client.Describe(u)
	if err == nil {
		err = v.client.SetupAll(described.BaseURL, described.Medias)
	}
	var video *format.H264
	if err == nil {
		media := described.FindFormat(&video)
		if media == nil {
			err = errors.New("no video")
		} else {
			var decoder *rtph264.Decoder
			if decoder, err = video.CreateDecoder(); err == nil {
				v.client.OnPacketRTP(media, video, func(packet *rtp.Packet) { v.take(decoder.Decode(packet)) })
				_, err = v.client.Play(nil)
			}
		}
	}
	if err != nil {
		v.client.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.t.Cleanup(v.client.Close)
	return v, nil
}

func (v *gbViewer) take(units [][]byte, err error) {
	if errors.Is(err, rtph264.ErrMorePacketsNeeded) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.faults = append(v.faults, err.Error())
		return
	}
	for _, u := range units {
		if kind := u[0] & 0x1f; kind != 1 && kind != 5 {
			continue
		}
		text := string(u[2:])
		sum := text[max(len(text)-8, 0):]
		text = text[:max(len(text)-8, 0)]
		var name string
		var number uint32
		if _, err := fmt.Sscanf(text, "%s %d ", &name, &number); err != nil || fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) != sum {
			v.faults = append(v.faults, fmt.Sprintf("a picture of %d bytes is torn: %.40q", len(u), text))
			continue
		}
		v.names[name]++
		v.numbers = append(v.numbers, number)
	}
}

// judge wants that pictures came, of that device alone and whole.
func (v *gbViewer) judge(name string, least int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case len(v.faults) > 0:
		return fmt.Errorf("%s: %s", name, strings.Join(v.faults, "; "))
	case len(v.names) > 1 || v.names[name] < least:
		return fmt.Errorf("%s: pictures came from %v", name, v.names)
	}
	return nil
}

// got counts pictures.
func (v *gbViewer) got() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.numbers)
}

// stage sends what its devices have to send, picture by picture, at their pace.
type stage struct {
	t  *testing.T
	mu sync.Mutex
	// acts are called each 40 ms with the stage locked, in order; one that returns false is over.
	acts []func() bool
	end  chan struct{}
	done sync.WaitGroup
}

func newStage(t *testing.T) *stage {
	st := &stage{t: t, end: make(chan struct{})}
	st.done.Go(func() {
		tick := time.NewTicker(pictureEvery)
		defer tick.Stop()
		for {
			select {
			case <-st.end:
				return
			case <-tick.C:
			}
			st.mu.Lock()
			kept := st.acts[:0]
			for _, act := range st.acts {
				if act() {
					kept = append(kept, act)
				}
			}
			st.acts = kept
			st.mu.Unlock()
		}
	})
	t.Cleanup(st.stop)
	return st
}

func (st *stage) stop() {
	select {
	case <-st.end:
	default:
		close(st.end)
	}
	st.done.Wait()
}

// play adds a device. change makes of its packets what is sent; nil leaves them as they are.
func (st *stage) play(d *gbDevice, change func(packets [][]byte) [][]byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.acts = append(st.acts, func() bool {
		packets := d.next()
		if change != nil {
			packets = change(packets)
		}
		return d.send(packets...) == nil
	})
}

// with runs f while nothing is sent.
func (st *stage) with(f func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	f()
}

// dialDevice makes a device that sends to a port of this machine.
func dialDevice(t *testing.T, name string, ssrc uint32, network string, port int) *gbDevice {
	t.Helper()
	conn, err := net.Dial(network, fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &gbDevice{name: name, ssrc: ssrc, conn: conn, seq: uint16(ssrc)}
}

// open opens a receiver and returns its port.
func (s *server) open(stream string, args ...string) int {
	s.t.Helper()
	port, err := s.tryOpen(stream, args...)
	require.NoError(s.t, err)
	return port
}

func (s *server) tryOpen(stream string, args ...string) (int, error) {
	reply, err := s.try("openRtpServer", append([]string{"port", "0", "stream_id", stream}, args...)...)
	if err != nil {
		return 0, err
	}
	port, ok := reply["port"].(float64)
	if !ok || reply["code"] != 0.0 {
		return 0, fmt.Errorf("openRtpServer: %v", reply)
	}
	return int(port), nil
}

// receivers lists what is open, shared devices too, by stream_id.
func (s *server) receivers() map[string]map[string]any {
	s.t.Helper()
	out := map[string]map[string]any{}
	list, _ := s.call("listRtpServer", "all", "1")["data"].([]any)
	for _, item := range list {
		r := item.(map[string]any)
		out[r["stream_id"].(string)] = r
	}
	return out
}

// count is a counter of a receiver, 0 when there is none.
func (s *server) count(stream, counter string) int {
	n, _ := s.receivers()[stream][counter].(float64)
	return int(n)
}
