package main

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/netio/camera"
)

// startCamera runs a camera for the length of the test.
func startCamera(t *testing.T) *camera.Camera {
	t.Helper()
	c, err := camera.Start(camera.Options{})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// watch plays a stream with a client that is not ours until every track has brought a few packets.
func watch(ctx context.Context, address string, over gortsplib.Protocol) error {
	u, err := base.ParseURL(address)
	if err != nil {
		return err
	}
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &over, ReadTimeout: patience, WriteTimeout: patience, InitialUDPReadTimeout: patience}
	if err := c.Start(); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	defer c.Close()
	described, _, err := c.Describe(u)
	if err != nil {
		return fmt.Errorf("describe %s: %w", address, err)
	}
	if err := c.SetupAll(described.BaseURL, described.Medias); err != nil {
		return fmt.Errorf("setup %s: %w", address, err)
	}
	enough := make(chan struct{})
	var mu sync.Mutex
	count := map[*description.Media]int{}
	satisfied := 0
	c.OnPacketRTPAny(func(of *description.Media, _ format.Format, _ *rtp.Packet) {
		mu.Lock()
		defer mu.Unlock()
		if count[of]++; count[of] == 5 {
			if satisfied++; satisfied == len(described.Medias) {
				close(enough)
			}
		}
	})
	if _, err := c.Play(nil); err != nil {
		return fmt.Errorf("play %s: %w", address, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-enough:
		return nil
	case err := <-ended:
		return fmt.Errorf("playing %s: %w", address, err)
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		return fmt.Errorf("playing %s: %d of %d tracks came", address, satisfied, len(described.Medias))
	}
}

// watchOver plays a stream of the daemon and fails the test when its tracks do not come.
func (d *daemon) watchOver(over gortsplib.Protocol, app, stream string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	require.NoError(d.t, watch(ctx, fmt.Sprintf("rtsp://%s/%s/%s", d.rtsp, app, stream), over))
}

// pull adds a proxy; rtpType is 0 for TCP and 1 for UDP.
func (d *daemon) pull(source *camera.Camera, stream, rtpType string) (reply, error) {
	return d.api("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", stream, "url", source.URL(stream), "rtp_type", rtpType)
}

// playing returns the streams of the proxies that play now.
func (d *daemon) playing() map[string]bool {
	d.t.Helper()
	out := map[string]bool{}
	for _, item := range d.list("listStreamProxy") {
		src, _ := item["src"].(map[string]any)
		name, _ := src["stream"].(string)
		if status, ok := item["status"].(float64); ok && status == 0 && name != "" {
			out[name] = true
		}
	}
	return out
}

// waitPlaying waits until exactly so many proxies exist and all of them play.
func (d *daemon) waitPlaying(n int) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%d proxies play", n), func() bool { return d.ready() && len(d.playing()) == n })
}
