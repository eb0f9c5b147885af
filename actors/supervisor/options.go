package supervisor

import (
	"io"
	"net/netip"
	"os"

	"berth/config"
)

// Options configure [Run].
type Options struct {
	ConfigFile string   // "" = none
	Set        []string // key=value items of the command line
	Env        []string // as os.Environ gives it
	Version    string   // shown by the API
	LogOutput  io.Writer
	// Signals is where the process's signals arrive: SIGHUP and SIGUSR1 reload, SIGUSR2 restarts the engine, SIGTERM and SIGINT end; a
	// second one of those ends at once. May be nil.
	Signals <-chan os.Signal
	// Ready is called once, when the first generation runs. It must not block. May be nil.
	Ready func(Ready)

	faults faults // none outside this package's tests
}

// faults lets the tests of this package look inside and break things.
type faults struct {
	started  func(*process)                 // called before the supervisor is spawned
	breaking func(generation uint64) string // names the child of a generation that panics as it starts, "" = none
}

// Ready tells a program what it needs to know of a running server.
type Ready struct {
	HTTP, HTTPS, RTSP, RTSPS netip.AddrPort // zero when the listener is off
	RTP                      netip.AddrPort // of rtp_proxy.port, over TCP and UDP; zero when it is off
	Secret                   string         // of the API
	Config                   *config.Config
}

// load reads all layers; first is the time before anything runs, when a bad override is no reason not to start.
func (o Options) load(overrides map[string]string, first bool) (*config.Config, *config.Report, error) {
	if !first {
		config.Settle(o.ConfigFile)
	}
	return config.Load(config.Options{
		File: o.ConfigFile, Env: o.Env, Set: o.Set, Overrides: overrides, DropBadOverrides: first, Running: !first, Root: os.Geteuid() == 0,
	})
}
