package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"berth/actors/supervisor"
)

func (p *program) serveCommand() *cobra.Command {
	level := ""
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server (the default)",
		Long: `Run the server until SIGTERM or SIGINT; a second one of those ends it at once. SIGHUP and SIGUSR1 reload the configuration, SIGUSR2 does a
full restart of the engine inside the same process.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.serve(c.Context(), supervisor.Options{ConfigFile: p.file, Set: p.setWith(level), Env: p.env})
		},
	}
	p.addLogLevel(c, &level)
	return c
}

// addLogLevel gives a command that runs a server its --log-level.
func (p *program) addLogLevel(c *cobra.Command, level *string) {
	c.Flags().StringVar(level, "log-level", p.getenv("BERTH_LOG"), "trace, debug, info, warn or error, short for --set log.level=...; also BERTH_LOG")
}

// setWith returns the --set items with the log level added.
func (p *program) setWith(level string) []string {
	if level == "" {
		return p.set
	}
	return append([]string{"log.level=" + level}, p.set...)
}

// serve runs the server in this process until it ends. Signals go to the supervisor, which gives them their meaning.
func (p *program) serve(ctx context.Context, opts supervisor.Options) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	// A second look at what ends the process, for the exit code of an end by force.
	endings := make(chan os.Signal, 16)
	signal.Notify(endings, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(endings)

	opts.Signals = signals
	opts.LogOutput = p.errOut
	opts.Version = buildOf(debug.ReadBuildInfo()).Version
	err := supervisor.Run(ctx, opts)
	if errors.Is(err, supervisor.ErrForced) {
		return &exitError{code: forcedCode(endings), err: err}
	}
	var listening *net.OpError
	if errors.As(err, &listening) && listening.Op == "listen" {
		return fmt.Errorf("%w%s", err, listenCure(listening))
	}
	return err
}

// listenCure says what to do about a listener that could not be opened.
func listenCure(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return " (another program listens there: stop it, or choose another http.port, rtsp.port or rtp_proxy.port)"
	case errors.Is(err, syscall.EACCES):
		return " (ports below 1024 need a privilege: choose a higher http.port or rtsp.port, or grant CAP_NET_BIND_SERVICE)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return " (this machine does not have that address: see general.listen_ip)"
	}
	return ""
}

// forcedCode is 128 plus the number of the last signal that arrived, as shells report a process that died of it.
func forcedCode(endings <-chan os.Signal) int {
	last := syscall.SIGINT
	for {
		select {
		case sig := <-endings:
			if number, ok := sig.(syscall.Signal); ok {
				last = number
			}
		default:
			return 128 + int(last)
		}
	}
}
