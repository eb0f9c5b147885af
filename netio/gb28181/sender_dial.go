package gb28181

import (
	"context"
	"net"
	"net/netip"
)

// Dial connects to target (host and port; names are looked up). local is the zero value for any address and port, or names one of ours, which may have had another connection a moment ago.
func Dial(ctx context.Context, local netip.AddrPort, target string) (net.Conn, error) {
	return dialFrom(ctx, local, target)
}
