package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// Names in the state directory.
const (
	fileName    = "berth.db"
	freshSuffix = ".new" // a database in the making; one that is found at start is from a crash and worth nothing
	schemaNow   = 1
)

// maxFileBytes bounds what is read into memory for verification. A store of ten thousand proxies has a few megabytes.
const maxFileBytes = 256 << 20

// disk is the database file of a state directory. Owned by the writer goroutine, which must have debug.SetPanicOnFault set.
type disk struct {
	dir string
	now func() time.Time

	file     *os.File // the lock is on it; bbolt uses and closes it
	db       *bbolt.DB
	sequence uint64
	truth    contents // what was acknowledged; nil before the first successful open
	unsure   bool     // a failed write may have left the file different from truth
}

// opened is what opening found.
type opened struct {
	contents  contents
	moved     string   // where a damaged file was set aside
	faults    []string // what was damaged
	kept      int      // records carried over from it
	recovered int      // of these, from former copies of their pages
}

func (d *disk) path() string { return filepath.Join(d.dir, fileName) }

// open locks, verifies and opens the database, makes it when it is missing, and replaces it when it is damaged.
// When the store has been open before, what was acknowledged then is made to stand in the file again.
func (d *disk) open() (res opened, err error) {
	d.close()
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return res, fmt.Errorf("state directory: %w", err)
	}
	file, err := lockFile(d.path())
	if err != nil {
		if !errors.Is(err, ErrLocked) && d.truth == nil {
			res.contents = readOnly(d.path())
		}
		return res, err
	}
	data, err := readAll(file)
	if err != nil {
		_ = file.Close()
		return res, err
	}
	if len(data) == 0 {
		c := d.truth
		if c == nil {
			c = newContents()
		}
		_ = os.Remove(d.path() + freshSuffix)
		defer file.Close() //nolint:errcheck // nothing was written to it
		return opened{contents: c.clone()}, d.replace(c)
	}
	found := inspect(data)
	if len(found.faults) == 0 && found.schema > schemaNow {
		_ = file.Close()
		return res, fmt.Errorf("%w (schema %d, this version knows %d)", ErrNewer, found.schema, schemaNow)
	}
	c, sequence, recovered := gather(found)
	d.sequence = max(d.sequence, sequence)
	if len(found.faults) == 0 {
		if err := d.attach(file); err == nil {
			return d.settle(opened{contents: c}, found.schema)
		} else if !isDamage(err) {
			return res, err
		} else {
			found.faults = append(found.faults, err.Error())
		}
		// bbolt has closed the file on its way out; the lock is needed again.
		if file, err = lockFile(d.path()); err != nil {
			return res, err
		}
	}
	defer file.Close() //nolint:errcheck // nothing was written to it
	res = opened{contents: c, faults: found.faults, kept: c.size(), recovered: recovered}
	if found.lost > 0 {
		res.faults = append(res.faults, fmt.Sprintf("and %d more", found.lost))
	}
	if d.truth != nil {
		res.contents, res.kept, res.recovered = d.truth.clone(), d.truth.size(), 0
	}
	res.moved = d.path() + ".damaged-" + d.now().UTC().Format("20060102T150405.000Z")
	if err := setAside(d.path(), res.moved, data); err != nil {
		return opened{}, fmt.Errorf("the file is damaged (%s) and cannot be set aside: %w", strings.Join(found.faults, "; "), err)
	}
	return res, d.replace(res.contents)
}

// settle brings an opened file to what was acknowledged while it was open before, and to the present schema. On an error the file is closed again, but
// what it holds is returned.
func (d *disk) settle(res opened, schema int) (opened, error) {
	if d.truth != nil {
		d.unsure = true
		res.contents = d.truth.clone()
	} else {
		d.truth = res.contents.clone()
		if schema == schemaNow {
			return res, nil
		}
	}
	err := d.write(nil)
	if err != nil {
		d.close()
	}
	return res, err
}

// readOnly returns what a sound file holds that may be read but not written, as on a file system that is mounted read-only; nil when that is not possible either.
func readOnly(path string) contents {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close() //nolint:errcheck // only read
	data, err := readAll(file)
	if err != nil || len(data) == 0 {
		return nil
	}
	found := inspect(data)
	if len(found.faults) > 0 || found.schema > schemaNow {
		return nil
	}
	c, _, _ := gather(found)
	return c
}

// attach opens bbolt on a locked file.
func (d *disk) attach(file *os.File) error {
	db, err := openBolt(file)
	if err != nil {
		return err
	}
	d.file, d.db = file, db
	return nil
}

// replace writes a new database with the given contents and puts it in the place of the old one in one step.
func (d *disk) replace(c contents) error {
	fresh := d.path() + freshSuffix
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := lockFile(fresh)
	if err != nil {
		return err
	}
	if err := d.attach(file); err != nil {
		return err
	}
	before := d.truth
	d.truth, d.unsure = c.clone(), true
	err = d.write(nil)
	if err == nil {
		err = os.Rename(fresh, d.path())
	}
	if err == nil {
		err = syncDir(d.dir)
	}
	if err != nil {
		d.close()
		_ = os.Remove(fresh)
		d.truth = before
		return err
	}
	return nil
}

// write commits changes; they are on disk when it returns nil. After an error nothing of them counts, and the next write sees to it that
// nothing of them is left in the file. A panic or a memory fault inside bbolt closes the file; isOpen tells.
func (d *disk) write(ops []op) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &damageError{fmt.Sprint(cause)}
			d.abandon()
		}
	}()
	sequence := d.sequence
	unsure := d.unsure
	d.unsure = true
	err = d.db.Update(func(tx *bbolt.Tx) error {
		if err := prepare(tx); err != nil {
			return err
		}
		if unsure {
			have, err := readTx(tx)
			if err != nil {
				return err
			}
			ops = append(have.ops(d.truth), ops...)
		}
		for _, o := range ops {
			b := tx.Bucket([]byte(o.bucket))
			if o.payload == nil {
				if err := b.Delete([]byte(o.key)); err != nil {
					return err
				}
				continue
			}
			sequence++
			r := record{o.bucket, o.key, sequence, o.payload}
			if err := b.Put([]byte(o.key), r.encode()); err != nil {
				return err
			}
		}
		sequence++ // of the commit itself, so that one that only deletes is told too
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(sequenceKey), strconv.AppendUint(nil, sequence, 10))
	})
	d.sequence = max(d.sequence, sequence)
	if err != nil {
		return err
	}
	d.unsure = false
	d.truth.apply(ops)
	return nil
}

// isOpen reports whether the file can be written.
func (d *disk) isOpen() bool { return d.db != nil }

// inPlace reports whether the open file is still the one at its path: one that was deleted or replaced takes writes that nobody will ever read.
func (d *disk) inPlace() bool {
	mine, err1 := d.file.Stat()
	there, err2 := os.Stat(d.path())
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// close ends the use of the file. It stays correct when bbolt has been abandoned.
func (d *disk) close() {
	if d.db == nil {
		return
	}
	defer func() {
		if recover() != nil {
			d.abandon()
		}
	}()
	db := d.db
	d.db = nil
	_ = db.Close()
}

// abandon lets go of a bbolt that has panicked: its locks may be held for ever, so it is not closed and its mapping stays. The file is unlocked by
// hand, because the mapping would keep the lock.
func (d *disk) abandon() {
	d.db = nil
	_ = unix.Flock(int(d.file.Fd()), unix.LOCK_UN)
	_ = d.file.Close()
}

// prepare makes the buckets and the schema version.
func prepare(tx *bbolt.Tx) error {
	for bucket := range recordKinds {
		if _, err := tx.CreateBucketIfNotExists([]byte(bucket)); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucketIfNotExists([]byte(bucketMeta))
	if err != nil {
		return err
	}
	if want := []byte(strconv.Itoa(schemaNow)); !bytes.Equal(meta.Get([]byte(schemaKey)), want) {
		return meta.Put([]byte(schemaKey), want)
	}
	return nil
}

func readTx(tx *bbolt.Tx) (contents, error) {
	c := newContents()
	for bucket := range c {
		err := tx.Bucket([]byte(bucket)).ForEach(func(k, v []byte) error {
			r, err := decodeRecord(v)
			if err != nil {
				return &damageError{fmt.Sprintf("%s/%.80q: %v", bucket, k, err)}
			}
			c[bucket][string(k)] = bytes.Clone(r.payload)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// damageError means that bbolt itself found the file unusable.
type damageError struct{ text string }

func (e *damageError) Error() string { return "database damaged: " + e.text }

func isDamage(err error) bool {
	var damage *damageError
	return errors.As(err, &damage)
}

// openBolt hands a locked file to bbolt. On an error the file is closed.
func openBolt(file *os.File) (db *bbolt.DB, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			_ = file.Close()
			db, err = nil, &damageError{fmt.Sprint(cause)}
		}
	}()
	db, err = bbolt.Open(file.Name(), 0o600, &bbolt.Options{
		// The file is locked already, and locking it again through the same descriptor succeeds at once.
		Timeout:      time.Second,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return file, nil },
	})
	if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, bolterrors.ErrVersionMismatch) {
		return nil, &damageError{err.Error()}
	}
	return db, err
}

// lockFile opens or makes a file, mode 0600, and takes the exclusive lock on what stands at path then.
func lockFile(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			_ = file.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrLocked
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// The holder before us may have put another file in its place.
		mine, err1 := file.Stat()
		there, err2 := os.Stat(path)
		if err := errors.Join(err1, err2); err == nil && os.SameFile(mine, there) {
			if mine.Mode().Perm()&0o077 != 0 {
				_ = file.Chmod(0o600) // where that is not allowed, the file still serves
			}
			return file, nil
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			_ = file.Close()
			return nil, err
		}
		_ = file.Close()
	}
}

func readAll(file *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("it has more than %d MiB, which no store of this version reaches: move it away to start with an empty one", maxFileBytes>>20)
	}
	return data, err
}

// setAside keeps a damaged file under another name, while its old name stays until a new file replaces it.
func setAside(path, to string, data []byte) error {
	if os.Link(path, to) == nil {
		return nil
	}
	// File systems without hard links get a copy.
	return writeFileSynced(to, data)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
