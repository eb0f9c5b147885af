package gb28181

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSourceLock(t *testing.T) {
	const ms = time.Millisecond
	type arrival struct {
		after time.Duration // since the beginning
		host  int           // 1 is the device
		ssrc  uint32
		seq   uint16
		want  admission
	}
	for name, c := range map[string]struct {
		want uint32
		come []arrival
	}{
		"the first packet locks": {0, []arrival{{0, 1, 1, 1, locked}, {ms, 1, 1, 2, admitted}, {2 * ms, 2, 9, 1, fromOthers}, {3 * ms, 2, 9, 2, fromOthers}}},
		"a stranger with the same SSRC": {0, []arrival{
			{0, 1, 1, 1, locked}, {ms, 1, 1, 2, admitted}, {2 * ms, 2, 1, 3, fromOthers}, {2999 * ms, 2, 1, 4, fromOthers}, {3000 * ms, 1, 1, 3, admitted},
		}},
		"a stranger came first": {0, []arrival{
			{0, 2, 9, 700, locked}, {ms, 1, 1, 1, suspected}, {2 * ms, 1, 1, 2, locked}, {3 * ms, 2, 9, 900, fromOthers}, {4 * ms, 1, 1, 3, admitted},
		}},
		"a stranger is heard once among the first packets": {0, []arrival{{0, 1, 1, 1, locked}, {ms, 2, 9, 7, suspected}, {2 * ms, 1, 1, 2, admitted}, {3 * ms, 2, 9, 8, fromOthers}}},
		"the device comes back from another address": {0, []arrival{
			{0, 1, 1, 1, locked}, {ms, 1, 1, 2, admitted}, {3000 * ms, 2, 1, 3, fromOthers}, {3001 * ms, 2, 1, 4, relocked}, {3002 * ms, 2, 1, 5, admitted}, {3003 * ms, 1, 1, 3, fromOthers},
		}},
		"another device takes over after silence": {0, []arrival{
			{0, 1, 1, 1, locked}, {ms, 1, 1, 2, admitted}, {3001 * ms, 2, 7, 50, suspected}, {3002 * ms, 2, 7, 51, locked}, {3003 * ms, 1, 1, 3, fromOthers},
		}},
		"noise in a silence": {0, []arrival{
			{0, 1, 1, 1, locked},
			{ms, 1, 1, 2, admitted},
			{3001 * ms, 2, 7, 50, suspected},
			{3002 * ms, 2, 8, 51, suspected},
			{3003 * ms, 3, 8, 52, suspected},
			{3004 * ms, 3, 8, 9000, suspected},
			{3005 * ms, 3, 8, 9000, suspected},
			{3006 * ms, 1, 1, 3, admitted},
			{3007 * ms, 3, 8, 9001, fromOthers},
		}},
		"the device begins anew with another SSRC": {0, []arrival{{0, 1, 1, 1, locked}, {ms, 1, 1, 2, admitted}, {201 * ms, 1, 2, 900, suspected}, {202 * ms, 1, 2, 901, locked}}},
		"the device begins anew at once": {0, []arrival{
			{0, 1, 1, 1, locked}, {ms, 1, 1, 2, admitted}, {2 * ms, 1, 2, 1, otherSSRC}, {199 * ms, 1, 2, 40, otherSSRC}, {201 * ms, 1, 2, 41, suspected}, {202 * ms, 1, 2, 42, locked},
		}},
		"two streams from one address are not mixed": {0, []arrival{
			{0, 1, 1, 1, locked}, {ms, 1, 2, 500, suspected}, {2 * ms, 1, 1, 2, admitted}, {3 * ms, 1, 2, 501, otherSSRC}, {150 * ms, 1, 1, 3, admitted}, {340 * ms, 1, 2, 502, otherSSRC}, {345 * ms, 1, 1, 4, admitted},
		}},
		"the wanted SSRC alone": {5, []arrival{
			{0, 1, 4, 1, otherSSRC},
			{0, 1, 4, 2, otherSSRC},
			{ms, 1, 5, 1, locked},
			{2 * ms, 1, 5, 2, admitted},
			{3 * ms, 1, 4, 3, otherSSRC},
			{4 * ms, 2, 4, 3, fromOthers},
			{5 * ms, 2, 5, 3, fromOthers},
			{4000 * ms, 2, 4, 4, fromOthers},
			{4000 * ms, 2, 5, 4, relocked},
		}},
		"a device that does not count": {0, []arrival{{0, 1, 1, 0, locked}, {ms, 1, 1, 0, admitted}, {2 * ms, 1, 1, 0, admitted}, {3 * ms, 2, 2, 0, suspected}, {4 * ms, 2, 2, 0, suspected}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := sourceLock{relearn: relearnAfter, want: c.want}
			start := time.Unix(1000, 0)
			for i, a := range c.come {
				addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(a.host)}), 5000)
				require.Equal(t, a.want, l.judge(start.Add(a.after), packetMark{addr, a.ssrc, a.seq}), "packet %d", i)
			}
		})
	}
}

func TestWhatAStrangerSentBeforeTheConnectionEndedIsNotTheDevices(t *testing.T) {
	c, stranger := newCamera(7, false), newCamera(7, false)
	v := watch(t, SourceOptions{})
	v.source.PushTCP(v.now, hostAt(1), c.picture(true, 100)[0])
	v.source.PushTCP(v.now, hostAt(2), stranger.picture(true, 100)[0])
	v.source.Release(hostAt(1))
	before := v.source.Stats()
	require.EqualValues(t, 1, before.Packets)
	require.EqualValues(t, 1, before.Strangers)
	c.seq += 20
	v.source.PushTCP(v.now, hostAt(1), c.picture(true, 100)[0])
	after := v.source.Stats()
	require.EqualValues(t, 2, after.Packets, "of the device alone")
	require.EqualValues(t, 1, after.Strangers)
}
