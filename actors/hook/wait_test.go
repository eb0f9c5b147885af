package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
)

func TestWaitInLineCountsWithoutADeadline(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		var log strings.Builder // written in Receive only, read after the answers
		rt.Log = zerolog.New(&log)
		cfg := testConfig(1)
		cfg.Hook.Timeout, cfg.Hook.RetryDelay = 5*time.Second, 3*time.Second
		stuck := &stuckTransport{}
		pid := actortest.Spawn(t, rt, Props(Options{
			Runtime: rt, Config: cfg, Transport: stuck, Asking: 1, Queue: 4, URL: func(string) string { return "http://192.0.2.1/?key=s3cret" },
		}), "hook")
		p := actortest.NewProbe(t, rt, "asker")
		began := time.Now()
		for id := range uint64(5) {
			p.Request(pid, &Ask{ID: id, Name: "on_play"})
		}
		a := actortest.Expect[*Answer](t, p)
		require.EqualValues(t, 4, a.ID)
		require.ErrorIs(t, a.Err, ErrBusy)
		require.Zero(t, time.Since(began))
		for range 4 {
			a := actortest.Expect[*Answer](t, p)
			require.ErrorIs(t, a.Err, ErrDeadline)
			require.Equal(t, -1, a.Code)
			require.Equal(t, (5+3+5+1)*time.Second, time.Since(began), "two timeouts, one pause and a second")
		}
		p.Request(pid, &GetStats{})
		require.Equal(t, &Stats{Failed: 4, Dropped: 1}, actortest.Expect[*Stats](t, p))
		actortest.Stop(t, rt, pid)
		require.Contains(t, log.String(), "failed after 0 tries: "+ErrBusy.Error())
		require.Contains(t, log.String(), ErrDeadline.Error())
		require.NotContains(t, log.String(), "s3cret")
	})
}

func TestSettingsTakeEffectBetweenTries(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		cfg := testConfig(100)
		cfg.Hook.Timeout, cfg.Hook.RetryDelay = 5*time.Second, 3*time.Second
		stuck := &stuckTransport{}
		pid := actortest.Spawn(t, rt, Props(Options{
			Runtime: rt, Config: cfg, Transport: stuck, URL: func(string) string { return "http://192.0.2.1/" },
		}), "hook")
		p := actortest.NewProbe(t, rt, "asker")
		p.Request(pid, &Ask{ID: 1, Name: "on_play"})
		p.Request(pid, &actors.ConfigChanged{Config: testConfig(0)})
		actortest.Expect[*actors.ConfigTaken](t, p)
		began := time.Now()
		require.ErrorIs(t, actortest.Expect[*Answer](t, p).Err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
		require.EqualValues(t, 1, stuck.calls.Load())
	})
}

func TestServerIDStandsForAnEmptyMediaServerID(t *testing.T) {
	r := newReceiver(t, reply(`{"code":0}`))
	cfg := testConfig(0)
	cfg.General.MediaServerID = ""
	f := start(t, r.URL, func(o *Options) { o.Config, o.ServerID = cfg, "made-up" })
	f.ask(&Ask{ID: 1, Name: "on_play"})
	require.Equal(t, "made-up", r.bodies[0]["mediaServerId"])
}

func TestNewestNotificationGivesWayWhenAllOthersAreUnderWay(t *testing.T) {
	hold := make(chan struct{})
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		<-hold
		_, _ = io.WriteString(w, `{"code":0}`)
	})
	f := start(t, r.URL, func(o *Options) { o.Queue, o.Notifying = 1, 1 })
	for range 3 {
		f.asker.Request(f.pid, &Notify{Name: "on_flow_report"})
	}
	require.Equal(t, &Stats{Dropped: 2, Queued: 1}, f.stats())
	close(hold)
	actortest.Eventually(t, func() bool { return f.stats().Sent == 1 }, "sent")
}

func TestViewersAreNotToldWhoTheReceiverIs(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	a := start(t, gone.URL+"/internal").ask(&Ask{ID: 1, Name: "on_play"})
	require.Equal(t, "[network err]:connection refused", a.Message)
	require.ErrorContains(t, a.Err, gone.URL+"/internal", "the operator is told")

	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	a = start(t, r.URL+"/internal").ask(&Ask{ID: 1, Name: "on_play"})
	require.Equal(t, "[bad http status code]:500", a.Message)

	dial := func(err error) error { return &networkError{&net.OpError{Op: "dial", Net: "tcp", Err: err}} }
	cases := []struct {
		err  error
		want string
	}{
		{dial(&net.DNSError{Err: "no such host", Name: "hooks.internal", Server: "10.0.0.2:53"}), "[network err]:host not found"},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "hooks.internal", IsTimeout: true}), "[network err]:timeout"},
		{dial(syscall.ENETUNREACH), "[network err]:network is unreachable"},
		{&networkError{context.DeadlineExceeded}, "[network err]:timeout"},
		{&networkError{fmt.Errorf("10.0.0.7: %w", io.EOF)}, "[network err]:connection failed"},
		{errors.New("[json code]:code not int:{}"), "[json code]:code not int:{}"},
	}
	for _, c := range cases {
		require.Equal(t, c.want, forViewers(c.err))
	}
}
