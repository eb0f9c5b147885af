package rtspd

import (
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// A viewer asks to play when the picture has begun and sound has not. It is told how both line up, which takes until sound has come.
func TestPlayWaitsUntilTracksLineUp(t *testing.T) {
	f := newFixture(t, nil)
	source, desc := f.record("/live/cam")
	var count uint16
	picture := func() error {
		count++
		return source.WritePacketRTP(desc.Medias[0], &rtp.Packet{Header: rtp.Header{
			Version: 2, Marker: true, PayloadType: 96, SequenceNumber: count, Timestamp: uint32(count) * 900, SSRC: 1,
		}, Payload: []byte{0x65, 1, 2, 3}})
	}
	require.NoError(t, picture())
	f.eventually(f.books(func(s *fakeStreams) bool {
		for _, stream := range s.streams {
			return stream.hub.TrackStats(0).Packets > 0
		}
		return false
	}), "the picture has begun")

	sent := make(chan error, 1)
	info := f.rtpInfo("/live/cam", func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for range 10 {
			<-ticker.C
			if err := picture(); err != nil {
				sent <- err
				return
			}
		}
		sent <- source.WritePacketRTP(desc.Medias[1], &rtp.Packet{
			Header: rtp.Header{Version: 2, PayloadType: 0, SequenceNumber: 1, Timestamp: 1, SSRC: 2}, Payload: make([]byte, 80),
		})
	})
	require.NoError(t, <-sent)
	for _, entry := range info {
		require.NotNil(t, entry.Timestamp, "%v", info)
		require.NotNil(t, entry.SequenceNumber, "%v", info)
	}
}

// A viewer begins when no key frame is there. Sound begins with the next one, so that nothing can be said of either track.
func TestPlayWithoutKeyFrameTellsNoBeginning(t *testing.T) {
	f := newFixture(t, nil)
	source, desc := f.record("/live/cam")
	for i, payload := range [][]byte{{0x41, 1, 2, 3}, make([]byte, 80)} {
		require.NoError(t, source.WritePacketRTP(desc.Medias[i], &rtp.Packet{
			Header: rtp.Header{Version: 2, Marker: true, PayloadType: []uint8{96, 0}[i], SequenceNumber: 1, Timestamp: 1, SSRC: 1}, Payload: payload,
		}))
	}
	f.flow(1)
	for _, entry := range f.rtpInfo("/live/cam", func() {}) {
		require.Nil(t, entry.Timestamp)
		require.Nil(t, entry.SequenceNumber)
	}
}

// record begins to publish until the end of the test, and sends nothing.
func (f *fixture) record(path string) (*gortsplib.Client, *description.Session) {
	f.t.Helper()
	desc := testDescription()
	source := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)}
	require.NoError(f.t, source.StartRecording(f.url(path), desc))
	f.t.Cleanup(source.Close)
	return source, desc
}

// rtpInfo plays and returns what the viewer is told of both tracks. meanwhile runs from its request on.
func (f *fixture) rtpInfo(path string, meanwhile func()) headers.RTPInfo {
	f.t.Helper()
	told := make(chan base.HeaderValue, 1)
	f.play(path, &gortsplib.Client{
		Protocol: protocol(gortsplib.ProtocolTCP),
		OnRequest: func(req *base.Request) {
			if req.Method == base.Play {
				go meanwhile()
			}
		},
		OnResponse: func(res *base.Response) {
			if info := res.Header["RTP-Info"]; info != nil {
				told <- info
			}
		},
	})
	select {
	case value := <-told:
		var info headers.RTPInfo
		require.NoError(f.t, info.Unmarshal(value))
		require.Len(f.t, info, 2)
		return info
	case <-time.After(actortest.Wait):
		f.t.Fatal("PLAY was answered without RTP-Info")
		return nil
	}
}
