package api

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"

	"berth/actors/store"
)

// build is what the binary says of itself.
type build struct {
	Version, Commit, Time, Go string
	Modified                  bool
}

// buildOf reads the binary's build information once; version wins over what it says.
func buildOf(version string) build {
	b := build{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			b.Time = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

// version answers ZLMediaKit's three fields and berth's own. The branch is not known to a Go binary.
func (s *service) version(*call) (object, error) {
	b := buildOf(s.opts.Version)
	return object{"data": object{
		"branchName": "", "buildTime": b.Time, "commitHash": b.Commit, "version": b.Version, "goVersion": b.Go, "modified": b.Modified,
	}}, nil
}

// getStatistic answers those of ZLMediaKit's object counts that exist here, and what a Go process has instead of the others.
func (s *service) getStatistic(c *call) (object, error) {
	p := s.picture(c.ctx)
	conns := s.http.Stats().Open
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	data := object{
		"MediaSource": len(p.streams), "MultiMediaSourceMuxer": len(p.streams),
		"TcpSession": conns + len(p.sessions), "HttpSession": conns, "RtspSession": len(p.sessions),
		"Proxies": len(p.proxies), "RtpReceivers": len(p.receivers), "RtpSenders": len(p.senders), "Goroutines": runtime.NumGoroutine(), "HeapBytes": mem.HeapAlloc,
		"ActorPanics": s.opts.Runtime.Stats.Panics.Load(), "DeadLetters": s.opts.Runtime.Stats.DeadLetters.Load(),
	}
	if p.engine {
		data["Generation"] = p.generation
	}
	return object{"data": data}, nil
}

// durable asks the store whether definitions survive a restart right now.
func (s *service) durable(ctx context.Context) (*store.Health, error) {
	return ask[*store.Health](ctx, s, s.opts.Store, &store.GetHealth{})
}

// inParallel runs the questions at once and waits for all.
func inParallel(questions ...func()) {
	var wg sync.WaitGroup
	for _, q := range questions {
		wg.Go(q)
	}
	wg.Wait()
}
