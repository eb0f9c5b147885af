package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// sample returns a sound file with n proxies, written in many transactions with deletions between them, and what it holds.
func sample(t testing.TB, n int) []byte {
	t.Helper()
	dir := t.TempDir()
	d := &disk{dir: dir, now: time.Now}
	_, err := d.open()
	require.NoError(t, err)
	for i := range n {
		o, err := proxyOp(testProxy(i))
		require.NoError(t, err)
		gone, err := proxyOp(testProxy(10000 + i))
		require.NoError(t, err)
		require.NoError(t, d.write([]op{o, gone}))
		gone.payload = nil
		require.NoError(t, d.write([]op{gone, {bucketOverrides, "hook.retry", []byte(fmt.Sprintf("%q", fmt.Sprint(i)))}}))
	}
	d.close()
	data, err := os.ReadFile(filepath.Join(dir, fileName))
	require.NoError(t, err)
	return data
}

// smallPages returns a sound file with pages of the smallest size, which a fuzzer can handle.
func smallPages(t testing.TB, n int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: boltMinPage})
	require.NoError(t, err)
	d := &disk{db: db, truth: newContents()}
	for i := range n {
		require.NoError(t, d.write([]op{{bucketProxies, fmt.Sprint("k", i), bytes.Repeat([]byte("p"), 150)}}))
	}
	require.NoError(t, db.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, inspect(data).faults)
	return data
}

func setSchema(t *testing.T, path, version string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(schemaKey), []byte(version))
	}))
	require.NoError(t, db.Close())
}

func removeBuckets(path string, names ...string) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range names {
			if err := tx.DeleteBucket([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

func TestInspectAgreesWithBolt(t *testing.T) {
	for _, n := range []int{0, 1, 3, 40, 400} {
		data := sample(t, n)
		found := inspect(data)
		require.Empty(t, found.faults)
		require.Equal(t, schemaNow, found.schema)
		c, sequence, recovered := gather(found)
		require.Equal(t, n, len(c[bucketProxies]))
		require.Zero(t, recovered)
		require.Greater(t, sequence, uint64(3*n))

		path := filepath.Join(t.TempDir(), "copy.db")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		db, err := bbolt.Open(path, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.View(func(tx *bbolt.Tx) error {
			have, err := readTx(tx)
			require.Equal(t, have, c)
			return err
		}))
		require.NoError(t, db.Close())
	}
}

func TestDamagedDatabaseIsSetAsideAndSaved(t *testing.T) {
	const n = 60
	data := sample(t, n)
	page := os.Getpagesize()
	marker := []byte(`rtsp://192.0.2.7:554/ch33"`)
	cases := []struct {
		name   string
		damage func(b []byte) []byte
		least  int // proxies that must be saved
	}{
		{"meta pages overwritten", func(b []byte) []byte { return append(bytes.Repeat([]byte{0xAA}, 2*page), b[2*page:]...) }, n},
		{"everything overwritten", func(b []byte) []byte { return bytes.Repeat([]byte{0xAA}, len(b)) }, 0},
		{"another kind of file", func([]byte) []byte { return []byte("[general]\nnot=a database\n") }, 0},
		{"freelist overwritten", func(b []byte) []byte {
			m, _ := newestMeta(b)
			copy(b[int(m.freelist)*page:], bytes.Repeat([]byte{0x55}, page))
			return b
		}, n},
		{"root overwritten", func(b []byte) []byte {
			m, _ := newestMeta(b)
			copy(b[int(m.root)*page:], bytes.Repeat([]byte{0}, page))
			return b
		}, n},
		{"one record changed everywhere", func(b []byte) []byte {
			return bytes.ReplaceAll(b, marker, []byte(`rtsp://192.0.2.9:554/ch33"`))
		}, n - 1},
		{"cut in half", func(b []byte) []byte { return b[:len(b)/2/page*page] }, n / 4},
		{"cut inside a page", func(b []byte) []byte {
			m, _ := newestMeta(b)
			return b[:int(m.high)*page-100]
		}, n / 2},
		{"newest meta page overwritten", func(b []byte) []byte {
			m, _ := newestMeta(b)
			copy(b[int(m.txid%2)*page:], make([]byte, page))
			return b
		}, n},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			broken := c.damage(bytes.Clone(data))
			require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), broken, 0o600))
			f := start(t, dir)
			h := f.health()
			require.True(t, h.Durable)
			require.NoError(t, h.Err)
			require.NotEmpty(t, h.Report)
			kept, err := os.ReadFile(h.Moved)
			require.NoError(t, err)
			require.Equal(t, broken, kept, "what was set aside is as it was found")
			saved := f.proxies()
			require.NoError(t, saved.Err)
			t.Logf("saved %d of %d: %s", len(saved.Proxies), n, h.Report)
			require.GreaterOrEqual(t, len(saved.Proxies), c.least)
			require.NoError(t, f.put(7777))
			f.stop()

			f = start(t, dir)
			require.Empty(t, f.health().Moved, "the new file is sound")
			require.Len(t, f.numbers(), len(saved.Proxies)+1)
		})
	}
}

func TestCrashWhileReplacingLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	require.NoError(t, os.WriteFile(path, sample(t, 3), 0o600))
	require.NoError(t, os.WriteFile(path+freshSuffix, []byte("half written"), 0o600))
	f := start(t, dir)
	require.Len(t, f.numbers(), 3)
	f.stop()

	require.NoError(t, os.Truncate(path, 0)) // as left by a crash between making the file and filling it
	f = start(t, dir)
	require.True(t, f.health().Durable)
	require.NoFileExists(t, path+freshSuffix)
}

// TestRandomDamage opens files with random damage: whatever the outcome, it must be a usable store, without a panic, fault or endless loop.
func TestRandomDamage(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	data := sample(t, 30)
	rng := rand.New(rand.NewPCG(1, 2))
	sound := 0
	for round := range 300 {
		b := bytes.Clone(data)
		for range 1 + rng.IntN(8) {
			switch rng.IntN(4) {
			case 0:
				b[rng.IntN(len(b))] ^= byte(1 << rng.IntN(8))
			case 1:
				at := rng.IntN(len(b))
				copy(b[at:], make([]byte, rng.IntN(64)))
			case 2: // in the heads of pages, where offsets and counts live
				at := rng.IntN(len(b)/4096)*4096 + rng.IntN(64)
				b[at] = byte(rng.Uint32())
			case 3:
				from, to := rng.IntN(len(b)/4096)*4096, rng.IntN(len(b)/4096)*4096
				copy(b[to:to+4096], b[from:from+4096])
			}
		}
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), b, 0o600))
		d := &disk{dir: dir, now: time.Now}
		res, err := d.open()
		require.NoError(t, err, "round %d", round)
		if res.moved == "" {
			sound++
			require.Equal(t, 30, len(res.contents[bucketProxies]), "round %d", round)
		}
		o, _ := proxyOp(testProxy(5000))
		require.NoError(t, d.write([]op{o}), "round %d", round)
		d.close()
		again, err := (&disk{dir: dir, now: time.Now}).reopenForTest()
		require.NoError(t, err)
		require.Empty(t, again.moved, "round %d", round)
		require.Equal(t, len(res.contents[bucketProxies])+1, len(again.contents[bucketProxies]))
	}
	t.Logf("%d of 300 were harmless", sound)
}

func (d *disk) reopenForTest() (opened, error) {
	defer d.close()
	return d.open()
}

func FuzzInspect(f *testing.F) {
	for _, n := range []int{0, 1, 12} {
		data := smallPages(f, n)
		f.Add(data)
		f.Add(data[:len(data)/2])
		f.Add(append(bytes.Repeat([]byte{0xFF}, 1024), data[1024:]...))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		found := inspect(b)
		c, _, _ := gather(found)
		if len(found.faults) == 0 && len(found.older) > 0 {
			t.Fatal("a sound file needs no older copies")
		}
		for bucket, values := range c {
			for key, payload := range values {
				r, err := decodeRecord(record{bucket, key, 1, payload}.encode())
				require.NoError(t, err)
				require.Equal(t, key, r.key)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add(record{bucketProxies, "a/b/c", 7, []byte(`{}`)}.encode())
	f.Add(record{bucketOverrides, "log.level", 1 << 60, []byte(`"debug"`)}.encode())
	f.Add([]byte("brth"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err == nil {
			require.Equal(t, b, r.encode())
		}
	})
}
