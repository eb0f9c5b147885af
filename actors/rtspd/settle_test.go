package rtspd

import (
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// A viewer asks to play when the picture has begun and sound has not. It is told how both line up, which takes until sound has come.
func TestPlayWaitsUntilTracksLineUp(t *testing.T) {
	f := newFixture(t, nil)
	desc := testDescription()
	source := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)}
	require.NoError(t, source.StartRecording(f.url("/live/cam"), desc))
	defer source.Close()
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

	asked, told := make(chan struct{}), make(chan base.HeaderValue, 1)
	viewer := &gortsplib.Client{
		Protocol: protocol(gortsplib.ProtocolTCP),
		OnRequest: func(req *base.Request) {
			if req.Method == base.Play {
				close(asked)
			}
		},
		OnResponse: func(res *base.Response) {
			if info := res.Header["RTP-Info"]; info != nil {
				told <- info
			}
		},
	}
	sent := make(chan error, 1)
	go func() {
		<-asked
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
	}()
	f.play("/live/cam", viewer)
	require.NoError(t, <-sent)
	select {
	case value := <-told:
		var info headers.RTPInfo
		require.NoError(t, info.Unmarshal(value))
		require.Len(t, info, 2)
		for _, entry := range info {
			require.NotNil(t, entry.Timestamp, "%v", value)
			require.NotNil(t, entry.SequenceNumber, "%v", value)
		}
	case <-time.After(actortest.Wait):
		t.Fatal("PLAY was answered without RTP-Info")
	}
}
