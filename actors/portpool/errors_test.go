package portpool_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/portpool"
	"berth/netio/ports"
)

func TestEveryReasonHasItsOwnTextWithACure(t *testing.T) {
	base := portpool.RefusedError{
		Range: ports.Range{Low: 30000, High: 30071}, Counts: ports.Counts{ports.Leased: 35, ports.Foreign: 1}, Port: 30002, Holder: "live/a", Tried: 2,
		Retry: 1234 * time.Millisecond, Err: syscall.EADDRINUSE,
		Largest: []portpool.Usage{{Purpose: portpool.PurposeRTSPPull, App: "live", Pairs: 35}},
	}
	want := map[portpool.Reason]string{
		portpool.ReasonExhausted: "none reserved port in pool: rtp_proxy.port_range 30000-30071 has 36 pairs: 35 leased, 1 foreign; " +
			"largest owners: rtsp_pull live 35; the next pair may come free in 1.3s; end streams, or raise rtp_proxy.port_range and do a full restart (berth restart)",
		portpool.ReasonTimeout:    "the search for a pair of ports took longer than pool.lease_timeout after 2 pairs that could not be bound",
		portpool.ReasonAddress:    "set pool.bind",
		portpool.ReasonProcess:    "raise the limit of open files",
		portpool.ReasonRestarting: "ask again when the restart is done",
		portpool.ReasonInvalid:    "not valid",
		portpool.ReasonOutOfRange: "port 30002 is not a pair of rtp_proxy.port_range 30000-30071",
		portpool.ReasonLeased:     "port 30002 is leased to live/a; it may come free in 1.3s; ask for another port, or for any",
		portpool.ReasonDraining:   "port 30002 was released by live/a and is kept back while packets for it may still arrive (draining)",
		portpool.ReasonCooling:    "(cooling)",
		portpool.ReasonForeign:    "find it with `ss -lunp 'sport = :30002'`",
		portpool.ReasonExcluded:   "port 30002 is excluded from the pool (pool.exclude, or one of the server's own listeners)",
	}
	require.Len(t, portpool.Reasons(), len(want))
	texts := map[string]bool{}
	for _, reason := range portpool.Reasons() {
		refused := base
		refused.Reason = reason
		require.ErrorContains(t, &refused, want[reason])
		require.False(t, texts[refused.Error()], reason)
		texts[refused.Error()] = true
		require.Equal(t, reason == portpool.ReasonExhausted, strings.HasPrefix(refused.Error(), "none reserved port in pool"))
		require.ErrorIs(t, &refused, syscall.EADDRINUSE)
		var as *portpool.RefusedError
		require.True(t, errors.As(&refused, &as))
	}
	unnamed := base
	unnamed.Reason, unnamed.Holder = portpool.ReasonLeased, ""
	require.ErrorContains(t, &unnamed, "leased to someone else")
}
