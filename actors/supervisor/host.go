package supervisor

import (
	"berth/config"
	"berth/netio/hostcheck"
	"berth/netio/ports"
)

// HostDemand is what a server with that configuration wants of its host, for [hostcheck.Check].
func HostDemand(cfg *config.Config) hostcheck.Demand {
	excluded := make([]ports.Range, len(cfg.Pool.Exclude))
	for i, r := range cfg.Pool.Exclude {
		excluded[i] = ports.Range(r)
	}
	d := hostcheck.Demand{
		Range: ports.Range(cfg.RTPProxy.PortRange), Excluded: ports.NewSet(excluded...),
		Bind: cfg.PoolBind(), ListenIP: cfg.General.ListenIP,
		Connections: cfg.RTSP.MaxConnections + cfg.Limits.HTTPConnections, StateDir: cfg.State.Dir,
		UDPBuffer: int(cfg.RTPProxy.UDPBuffer),
	}
	for _, l := range cfg.Listeners() {
		d.Listeners = append(d.Listeners, hostcheck.Listener{Key: l.Key, Port: l.Port})
	}
	return d
}

// warnAboutHost logs what in the host will keep the server from working well, as `berth doctor` shows it. Called by the boot goroutine, before there
// is a pool: a socket in the range is a stranger's.
func warnAboutHost(p *process, cfg *config.Config, host hostcheck.Host) {
	for _, f := range hostcheck.Check(host, HostDemand(cfg)) {
		if f.Level == hostcheck.OK {
			continue
		}
		event := p.log.Warn().Str("check", f.Check).Str("severity", string(f.Level))
		if len(f.Cure) > 0 {
			event = event.Strs("cure", f.Cure)
		}
		event.Msg(f.Text)
	}
}
