package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"berth/actors/supervisor"
	"berth/config"
	"berth/netio/camera"
)

// demoPull is one proxy of the demo.
type demoPull struct {
	stream  string
	rtpType string // as addStreamProxy takes it: 0 TCP, 1 UDP
	shows   string
}

// demoPulls are what the demo shows: two pulls over leased ports, and one that needs none.
func demoPulls() []demoPull {
	return []demoPull{
		{"cam1", "1", "UDP, leased ports"},
		{"cam2", "1", "UDP, leased ports"},
		{"cam3", "0", "TCP, no ports"},
	}
}

// demoApp is the app of the demo's streams.
const demoApp = "demo"

// demoStart bounds how long the demo's streams may take to come up on a busy machine.
const demoStart = 60 * time.Second

func (p *program) demoCommand() *cobra.Command {
	level := ""
	var length time.Duration
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the server at work with a built-in camera, on this machine only",
		Long: `Run a server on defaults with a temporary state directory, listening on loopback only, and a small RTSP camera beside it. The camera is pulled
through the HTTP API like any other: twice over leased UDP ports and once over TCP. Ctrl-C ends it and leaves nothing behind. Configuration file,
--set and the environment are not looked at.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.demo(c.Context(), length, level) },
	}
	c.Flags().DurationVar(&length, "for", 0, "end by itself after this time, such as 5s (default: until Ctrl-C)")
	c.Flags().StringVar(&level, "log-level", "warn", "trace, debug, info, warn or error")
	return c
}

// demo runs camera and server until a signal comes or the length is over; 0 is for ever.
func (p *program) demo(ctx context.Context, length time.Duration, level string) (err error) {
	dir, err := os.MkdirTemp("", "berth-demo-")
	if err != nil {
		return fmt.Errorf("temporary state directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source, err := camera.Start(camera.Options{})
	if err != nil {
		return err
	}
	defer source.Close()
	set, err := demoSettings(dir, level)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	// The supervisor gets the signals too and ends the server; this context keeps a call to it from failing loudly meanwhile.
	asking, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ready, served := make(chan supervisor.Ready, 1), make(chan error, 1)
	go func() {
		served <- p.serve(ctx, supervisor.Options{Set: set, Ready: func(r supervisor.Ready) { ready <- r }})
	}()
	select {
	case err := <-served:
		return err
	case r := <-ready:
		if err := p.showDemo(asking, r, source); err != nil && asking.Err() == nil {
			end()
			return errors.Join(err, <-served)
		}
	}
	var over <-chan time.Time
	if length > 0 {
		over = time.After(length)
	}
	select {
	case err := <-served:
		return err
	case <-over:
		end()
		return <-served
	}
}

// demoSettings are the --set items of the demo's server.
func demoSettings(dir, level string) ([]string, error) {
	pool := config.Default().RTPProxy.PortRange
	rtsp, err := freePort(8554, pool)
	if err != nil {
		return nil, err
	}
	web, err := freePort(8080, pool)
	if err != nil {
		return nil, err
	}
	return []string{
		"general.listen_ip=127.0.0.1",
		"rtsp.port=" + strconv.Itoa(rtsp),
		"http.port=" + strconv.Itoa(web),
		"rtp_proxy.port=0", // so that a demo can run beside a server
		"state.dir=" + dir,
		"log.level=" + level,
	}, nil
}

// freePort returns the wanted TCP port of loopback if it is free, or else one that the kernel chooses outside the pool's range.
func freePort(wanted int, pool config.PortRange) (int, error) {
	for try := range 100 {
		if try > 0 {
			wanted = 0
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(wanted)))
		if err != nil {
			if wanted != 0 {
				continue
			}
			return 0, fmt.Errorf("no free TCP port on 127.0.0.1: %w", err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, err
		}
		if port < int(pool.Low) || port > int(pool.High) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free TCP port on 127.0.0.1 outside %s", pool)
}

// showDemo starts the demo's streams through the API and prints where to find them.
func (p *program) showDemo(ctx context.Context, ready supervisor.Ready, source *camera.Camera) error {
	ctx, cancel := context.WithTimeout(ctx, demoStart)
	defer cancel()
	server := &client{base: "http://" + ready.HTTP.String(), secret: ready.Secret, where: "it came from the server itself", http: &http.Client{}}
	pulls := demoPulls()
	for _, pull := range pulls {
		arguments := url.Values{
			"vhost": {"__defaultVhost__"}, "app": {demoApp}, "stream": {pull.stream}, "url": {source.URL(pull.stream)}, "rtp_type": {pull.rtpType},
		}
		if err := server.call(ctx, "addStreamProxy", arguments, &struct{}{}); err != nil {
			return fmt.Errorf("starting the stream %s/%s: %w", demoApp, pull.stream, err)
		}
	}
	play := func(pull demoPull) string { return fmt.Sprintf("rtsp://%s/%s/%s", ready.RTSP, demoApp, pull.stream) }
	_, _ = fmt.Fprintf(p.out, "\nberth is running; the page with streams and ports:\n\n  http://%s/#secret=%s\n\n", ready.HTTP, url.QueryEscape(ready.Secret))
	table := tabwriter.NewWriter(p.out, 2, 8, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "  STREAM\tPULLED OVER\tPLAY")
	for _, pull := range pulls {
		_, _ = fmt.Fprintf(table, "  %s/%s\t%s\t%s\n", demoApp, pull.stream, pull.shows, play(pull))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var pool poolReply
	if err := server.call(ctx, "getPortPool", nil, &pool); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.out, "\nThe port pool %s has %d of %d pairs leased: two a stream pulled over UDP, none over TCP, and none for viewers over TCP.\n\n",
		pool.Data.Range, pool.Data.States["leased"], pool.Data.Pairs)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "Watch:  ffplay -rtsp_transport tcp %s\nPorts:  berth ports --url http://%s --secret %s\n\nCtrl-C ends it.\n",
		play(pulls[0]), ready.HTTP, ready.Secret)
	return err
}
