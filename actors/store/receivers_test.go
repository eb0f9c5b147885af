package store

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors/actortest"
	"berth/media"
)

func testReceiver(n int) Receiver {
	return Receiver{
		Key: testKey(n), Port: uint16(20000 + 2*n), TCPMode: n % 3, ReusePort: true, SSRC: 200000000 + uint32(n), OnlyTrack: 2, LocalIP: netip.MustParseAddr("192.0.2.1"),
		Host: "192.0.2.9", HostPort: 15060, Leased: uint16(20000 + 2*n), Created: time.Date(2026, 11, 22, 15, 0, n%60, 0, time.UTC),
	}
}

func testSender(n int, ssrc string) Sender {
	return Sender{
		Stream: testKey(n), SSRC: ssrc, Mode: SendActive, UDP: true, Host: "192.0.2.10", Port: 30000, PayloadType: 96, Form: 1, RTCPTimeout: true,
		CloseDelay: 5 * time.Second, Leased: 20040, Created: time.Date(2026, 11, 22, 15, 0, n%60, 0, time.UTC),
	}
}

func (f *fixture) receivers() []Receiver {
	f.t.Helper()
	got := ask[*Receivers](f, &ListReceivers{})
	require.NoError(f.t, got.Err)
	return got.Receivers
}

func (f *fixture) senders() []Sender {
	f.t.Helper()
	got := ask[*Senders](f, &ListSenders{})
	require.NoError(f.t, got.Err)
	return got.Senders
}

// tell sends what nobody waits for.
func (f *fixture) tell(messages ...any) {
	for _, m := range messages {
		actortest.Runtime().System.Root.Send(f.pid, m)
	}
}

func TestReceiversAndSendersSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	for n := range 4 {
		require.NoError(t, ask[*Done](f, &PutReceiver{testReceiver(n)}).Err)
	}
	require.NoError(t, ask[*Done](f, &DeleteReceiver{testKey(2)}).Err)
	several := testSender(0, "100")
	several.Several = true
	other := several
	other.Host = "2001:db8::7"
	gone := several
	gone.Host = "192.0.2.11"
	// The key of this stream's name sorts before those of the first one's senders.
	deeper := testSender(0, "7")
	deeper.Stream.Stream += "!"
	for _, s := range []Sender{testSender(1, "5"), deeper, several, other, gone, testSender(0, "22"), testSender(3, "1")} {
		require.NoError(t, ask[*Done](f, &PutSender{s}).Err)
	}
	require.NoError(t, ask[*Done](f, &DeleteSender{Stream: testKey(0), SSRC: "100", Host: gone.Host, Port: gone.Port}).Err)
	require.NoError(t, ask[*Done](f, &DeleteSender{Stream: testKey(3), SSRC: "1"}).Err)
	require.NoError(t, ask[*Done](f, &DeleteSender{Stream: testKey(3), SSRC: "none"}).Err)
	f.stop()

	f = start(t, dir)
	require.Equal(t, []Receiver{testReceiver(0), testReceiver(1), testReceiver(3)}, f.receivers())
	require.Equal(t, []Sender{several, other, testSender(0, "22"), deeper, testSender(1, "5")}, f.senders())
	require.Equal(t, &Health{Path: f.path(), Durable: true}, f.health())
}

// Passive senders of one SSRC shared a key before they were told apart by their ports. Such a database must open, and the sender in it must be one that can be changed and removed.
func TestAPassiveSenderUnderItsFormerKeyIsKept(t *testing.T) {
	former := testSender(0, "100")
	former.Mode, former.Host, former.Port, former.Several = SendPassive, "", 0, true
	other := former
	other.Leased = 20042
	write := func() string {
		dir := t.TempDir()
		d := disk{dir: dir, now: time.Now}
		_, err := d.open()
		require.NoError(t, err)
		o, err := senderOp(former, former.Place().sharedID())
		require.NoError(t, err)
		require.NoError(t, d.write([]op{o}))
		d.close()
		return dir
	}
	dir := write()
	f := start(t, dir)
	require.Equal(t, []Sender{former}, f.senders())
	require.NoError(t, ask[*Done](f, &PutSender{former}).Err)
	require.NoError(t, ask[*Done](f, &PutSender{other}).Err)
	f.stop()
	f = start(t, dir)
	require.Equal(t, []Sender{former, other}, f.senders(), "once each")
	place := former.Place()
	require.NoError(t, ask[*Done](f, &place).Err)
	f.stop()
	f = start(t, dir)
	require.Equal(t, []Sender{other}, f.senders())
	require.True(t, f.health().Durable)
}

func TestDefinitionsWithoutANameAreRefused(t *testing.T) {
	f := start(t, t.TempDir())
	r, s := testReceiver(1), testSender(1, "not a number")
	r.Key = media.StreamKey{}
	require.ErrorContains(t, ask[*Done](f, &PutReceiver{r}).Err, "names no stream")
	require.ErrorContains(t, ask[*Done](f, &PutSender{s}).Err, "no SSRC")
	s = testSender(1, "1")
	s.Stream.App = ""
	require.ErrorContains(t, ask[*Done](f, &PutSender{s}).Err, "names no stream")
	f.tell(&PutReceiver{r}, &PutSender{s})
	require.Empty(t, f.receivers())
}

func hourOfLinger(o *Options) { o.Linger = time.Hour }

func TestWhatComesAndGoesNeverReachesTheDisk(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).stop()
	before, err := os.ReadFile(dir + "/" + fileName)
	require.NoError(t, err)
	f := start(t, dir, hourOfLinger)
	f.awaitDurable(true)
	for n := range 10000 {
		f.tell(&PutReceiver{testReceiver(n)}, &PutSender{testSender(n, "1")}, &DeleteReceiver{testKey(n)}, &DeleteSender{Stream: testKey(n), SSRC: "1"})
	}
	require.Empty(t, f.receivers())
	h := f.health()
	require.Zero(t, h.Dropped)
	require.Equal(t, 20000, h.Waiting)
	require.NoError(t, ask[*Done](f, &DeleteReceiver{testKey(3)}).Err, "what is not there and has not been can be deleted")
	require.Zero(t, f.health().Waiting)
	f.stop()
	after, err := os.ReadFile(f.path())
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestWhatNobodyWaitsForIsSeenAtOnceAndKept(t *testing.T) {
	for name, end := range map[string]func(*fixture){
		"by the end of the store":   func(f *fixture) { f.stop() },
		"by a write that is waited": func(f *fixture) { require.NoError(f.t, f.put(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, t.TempDir(), hourOfLinger)
			f.tell(&PutReceiver{testReceiver(1)}, &PutReceiver{testReceiver(2)}, &PutSender{testSender(1, "9")}, &DeleteReceiver{testKey(2)})
			require.Equal(t, []Receiver{testReceiver(1)}, f.receivers())
			require.Equal(t, []Sender{testSender(1, "9")}, f.senders())
			end(f)
			data, err := os.ReadFile(f.path())
			require.NoError(t, err)
			c, _, _ := gather(inspect(data))
			require.Len(t, c[bucketReceivers], 1)
			require.Len(t, c[bucketSenders], 1)
		})
	}
	t.Run("by itself", func(t *testing.T) {
		f := start(t, t.TempDir(), func(o *Options) { o.Linger = time.Millisecond })
		f.tell(&PutReceiver{testReceiver(1)})
		f.tell(&PutReceiver{testReceiver(2)})
		actortest.Eventually(t, func() bool {
			data, err := os.ReadFile(f.path())
			return err == nil && len(inspect(data).records) == 2
		}, "both on disk")
	})
}

// A store that ends before its database is open writes what it has been told all the same.
func TestTheLastWritesOfAnEarlyEndAreKept(t *testing.T) {
	dir := t.TempDir()
	for n := range 20 {
		f := start(t, dir)
		f.tell(&PutReceiver{testReceiver(n)})
		_ = actortest.Runtime().System.Root.PoisonFuture(f.pid).Wait() // ends behind what is queued
	}
	require.Len(t, start(t, dir).receivers(), 20)
}

func TestWhatNobodyWaitsForOutlastsAnUnusableDisk(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	require.NoError(t, ask[*Done](f, &PutReceiver{testReceiver(1)}).Err)
	f.stop()
	other, err := os.OpenFile(f.path(), os.O_RDWR, 0)
	require.NoError(t, err)
	defer other.Close() //nolint:errcheck // closed below on the good path
	require.NoError(t, unix.Flock(int(other.Fd()), unix.LOCK_EX))
	notify := actortest.NewProbe(t, actortest.Runtime(), "notify")
	f = start(t, dir, func(o *Options) { o.Notify = notify.PID })
	f.awaitDurable(false)
	f.tell(&PutReceiver{testReceiver(2)}, &PutReceiver{testReceiver(3)})
	require.Error(t, ask[*Done](f, &DeleteReceiver{testKey(2)}).Err, "it cannot be made durable, and so does not count")
	f.tell(&DeleteReceiver{testKey(3)}, &DeleteReceiver{testKey(1)})
	require.Equal(t, 3, f.health().Waiting)
	require.ErrorIs(t, ask[*Receivers](f, &ListReceivers{}).Err, ErrLocked)
	require.NoError(t, other.Close())
	require.Equal(t, []Receiver{testReceiver(1)}, actortest.Expect[*Reopened](t, notify).Receivers, "what the file held")
	require.Equal(t, []Receiver{testReceiver(2)}, f.receivers())
	actortest.Eventually(t, func() bool { return f.health().Waiting == 0 }, "written")
	f.stop()
	require.Equal(t, []Receiver{testReceiver(2)}, start(t, dir).receivers())
}

// A database of the version that knew no receivers is opened and used as it is, and one of this version by that one.
func TestFilesWithoutTheseBucketsAreRead(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	require.NoError(t, f.put(1))
	f.stop()
	require.NoError(t, removeBuckets(f.path(), bucketReceivers, bucketSenders))
	f = start(t, dir)
	require.Empty(t, f.health().Moved)
	require.Empty(t, f.receivers())
	for n := range 3 {
		f.tell(&PutReceiver{testReceiver(n)})
	}
	require.NoError(t, f.put(2))
	f.stop()
	require.Len(t, start(t, dir).receivers(), 3)
}

func TestDamagedDefinitionsOfAllKindsAreSaved(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	const n = 20
	for i := range n {
		f.tell(&PutReceiver{testReceiver(i)}, &PutSender{testSender(i, fmt.Sprint(i))})
	}
	require.Len(t, f.senders(), n)
	f.stop()
	data, err := os.ReadFile(f.path())
	require.NoError(t, err)
	page := os.Getpagesize()
	for i := range 2 * page {
		data[i] = 0xAA
	}
	require.NoError(t, os.WriteFile(f.path(), data, 0o600))
	f = start(t, dir)
	require.NotEmpty(t, f.health().Moved)
	require.Len(t, f.receivers(), n)
	require.Len(t, f.senders(), n)
}
