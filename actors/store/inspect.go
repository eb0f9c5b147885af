package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
)

// The reader below knows as much of bbolt's file format (version 2, native byte order) as is needed to tell a sound file from a damaged one and to read the
// records of either. It works on a copy in memory, checks every offset, and visits every page at most once.

// Sizes and marks of bbolt's format.
const (
	boltMagic       = 0xED0CDAED
	boltVersion     = 2
	boltPageHeader  = 16
	boltElement     = 16
	boltBucket      = 16
	boltMetaBytes   = 64
	boltBranchPage  = 0x01
	boltLeafPage    = 0x02
	boltFreePage    = 0x10
	boltBucketFlag  = 0x01
	boltNoFreelist  = ^uint64(0)
	boltMinPage     = 1024
	boltMaxPage     = 16 << 20
	maxBucketDepth  = 8
	maxFaultsListed = 8
)

// Keys of the meta bucket; the values are decimal.
const (
	schemaKey   = "schema"
	sequenceKey = "sequence" // of the last record that was written
)

var boltOrder = binary.NativeEndian

// boltMeta is one of the two meta pages. The valid one with the higher txid is in force.
type boltMeta struct {
	pageSize                   int
	root, freelist, high, txid uint64
}

// inspection is what a database file holds.
type inspection struct {
	schema   int    // 0 when the file has none
	sequence uint64 // of the last commit of the tree
	records  []record
	faults   []string // empty for a sound file
	lost     int      // faults beyond those listed
	older    []record // copies on pages outside the tree, as far as they may be needed: all when the tree is damaged
}

// inspector walks one file.
type inspector struct {
	inspection
	data []byte
	meta boltMeta
	seen map[uint64]bool // every page of the tree, overflow pages too
}

// inspect reads and verifies a whole database file. It never fails: what is wrong stands in faults.
func inspect(data []byte) inspection {
	in := &inspector{data: data, seen: map[uint64]bool{}}
	var metas int
	if in.meta, metas = newestMeta(data); metas == 0 {
		in.fault("both meta pages are invalid")
		in.scan(os.Getpagesize(), 0)
		return in.inspection
	}
	in.page(in.meta.root, nil, 0, span{})
	switch {
	case len(in.faults) > 0:
		in.scan(in.meta.pageSize, 0)
	case metas == 1:
		// The other one named either the commit before this, or the one after it, which then is found on pages outside the tree.
		in.fault("one of the two meta pages is invalid")
		in.scan(in.meta.pageSize, in.sequence+1)
	}
	if size := uint64(len(data)); in.meta.high > size/uint64(in.meta.pageSize) {
		in.fault("the file has %d bytes, its pages need %d", size, in.meta.high*uint64(in.meta.pageSize))
	}
	in.freelist()
	return in.inspection
}

func (in *inspector) fault(format string, args ...any) {
	if len(in.faults) == maxFaultsListed {
		in.lost++
		return
	}
	in.faults = append(in.faults, fmt.Sprintf(format, args...))
}

// newestMeta finds the meta page in force, and how many of the two are valid. The second one lies one page into the file, and the size of a page stands in the meta pages only.
func newestMeta(data []byte) (best boltMeta, valid int) {
	best, found := parseMeta(data, 0, 0)
	if found {
		valid++
	}
	for size := boltMinPage; size <= boltMaxPage && size < len(data); size *= 2 {
		m, ok := parseMeta(data, size, 1)
		if !ok || m.pageSize != size {
			continue
		}
		valid++
		if !found || m.txid > best.txid {
			best = m
		}
		break
	}
	return best, valid
}

func parseMeta(data []byte, at int, page uint64) (boltMeta, bool) {
	if at+boltPageHeader+boltMetaBytes > len(data) {
		return boltMeta{}, false
	}
	b := data[at+boltPageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	m := boltMeta{
		pageSize: int(boltOrder.Uint32(b[8:])),
		root:     boltOrder.Uint64(b[16:]),
		freelist: boltOrder.Uint64(b[32:]),
		high:     boltOrder.Uint64(b[40:]),
		txid:     boltOrder.Uint64(b[48:]),
	}
	ok := boltOrder.Uint64(data[at:]) == page && boltOrder.Uint32(b) == boltMagic && boltOrder.Uint32(b[4:]) == boltVersion && boltOrder.Uint64(b[56:]) == sum.Sum64() &&
		m.pageSize >= boltMinPage && m.pageSize <= boltMaxPage
	return m, ok
}

// bytesOf returns a page with its overflow pages, marks them as seen, and reports what is wrong with them.
func (in *inspector) bytesOf(id uint64) ([]byte, bool) {
	size := uint64(in.meta.pageSize)
	if id < 2 || id >= in.meta.high || (id+1)*size > uint64(len(in.data)) {
		in.fault("page %d lies outside the file", id)
		return nil, false
	}
	head := in.data[id*size:]
	pages := uint64(boltOrder.Uint32(head[12:])) + 1
	if boltOrder.Uint64(head) != id || id+pages > in.meta.high || (id+pages)*size > uint64(len(in.data)) {
		in.fault("page %d has a damaged head", id)
		return nil, false
	}
	for p := id; p < id+pages; p++ {
		if in.seen[p] {
			in.fault("page %d is used twice", p)
			return nil, false
		}
		in.seen[p] = true
	}
	return in.data[id*size : (id+pages)*size], true
}

// span is the range of keys that a page may hold: from low on, and below high unless that is nil.
type span struct{ low, high []byte }

func (r span) holds(key []byte) bool {
	return bytes.Compare(key, r.low) >= 0 && (r.high == nil || bytes.Compare(key, r.high) < 0)
}

// page walks one page of the bucket path.
func (in *inspector) page(id uint64, path []string, depth int, keys span) {
	b, ok := in.bytesOf(id)
	if !ok {
		return
	}
	switch boltOrder.Uint16(b[8:]) {
	case boltLeafPage:
		in.leaf(b, path, depth, id, keys)
	case boltBranchPage:
		in.branch(b, path, depth, id, keys)
	default:
		in.fault("page %d is neither branch nor leaf", id)
	}
}

// branch walks the children of a branch page. Each holds the keys from its own on, up to that of the next.
func (in *inspector) branch(b []byte, path []string, depth int, id uint64, keys span) {
	count := int(boltOrder.Uint16(b[10:]))
	if count == 0 || boltPageHeader+count*boltElement > len(b) {
		in.fault("branch page %d has %d elements", id, count)
		return
	}
	key := func(i int) []byte {
		if i == count {
			return keys.high
		}
		at := uint64(boltPageHeader + i*boltElement)
		from := at + uint64(boltOrder.Uint32(b[at:]))
		to := from + uint64(boltOrder.Uint32(b[at+4:]))
		if to > uint64(len(b)) || !keys.holds(b[from:to]) {
			in.fault("branch page %d has a damaged key", id)
			return keys.low
		}
		return b[from:to]
	}
	for i := range count {
		in.page(boltOrder.Uint64(b[boltPageHeader+i*boltElement+8:]), path, depth, span{key(i), key(i + 1)})
	}
}

// leaf walks the elements of a leaf page, or of a small bucket that lies inside one.
func (in *inspector) leaf(b []byte, path []string, depth int, id uint64, keys span) {
	var last []byte
	whole := eachLeaf(b, func(flags uint32, key, value []byte) {
		if bytes.Compare(key, last) <= 0 || !keys.holds(key) {
			in.fault("page %d has keys out of order", id)
		}
		last = key
		switch {
		case flags == 0:
			in.value(path, string(key), value, id)
			return
		case flags != boltBucketFlag, depth == maxBucketDepth, len(value) < boltBucket:
			in.fault("page %d has a damaged bucket", id)
			return
		}
		inner := append(path[:len(path):len(path)], string(key))
		if root := boltOrder.Uint64(value); root != 0 {
			in.page(root, inner, depth+1, span{})
		} else {
			in.leaf(value[boltBucket:], inner, depth+1, id, span{})
		}
	})
	if !whole {
		in.fault("page %d has damaged elements", id)
	}
}

// value takes one value of the tree.
func (in *inspector) value(path []string, key string, value []byte, id uint64) {
	if len(path) != 1 {
		return
	}
	if path[0] == bucketMeta {
		in.number(key, value)
		return
	}
	if recordKinds[path[0]] == 0 {
		return // of a newer schema
	}
	r, err := decodeRecord(value)
	if err != nil || r.key != key || r.bucket != path[0] {
		in.fault("the record of %s/%.80q on page %d is damaged", path[0], key, id)
		return
	}
	in.records = append(in.records, r)
}

// number takes a value of the meta bucket.
func (in *inspector) number(key string, value []byte) {
	n, err := strconv.ParseUint(string(value), 10, 62)
	switch key {
	case schemaKey:
		in.schema = int(n)
	case sequenceKey:
		in.sequence = n
	default:
		return
	}
	if err != nil || n == 0 {
		in.fault("the %s is damaged", key)
	}
}

// freelist checks that no page is both free and in use: bbolt would overwrite it.
func (in *inspector) freelist() {
	if in.meta.freelist == boltNoFreelist {
		return
	}
	b, ok := in.bytesOf(in.meta.freelist)
	if !ok {
		return
	}
	if boltOrder.Uint16(b[8:]) != boltFreePage {
		in.fault("page %d is no freelist", in.meta.freelist)
		return
	}
	ids, count := b[boltPageHeader:], uint64(boltOrder.Uint16(b[10:]))
	if count == 0xFFFF {
		count, ids = boltOrder.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		in.fault("the freelist has a damaged length")
		return
	}
	free := make(map[uint64]bool, count)
	for i := range count {
		id := boltOrder.Uint64(ids[i*8:])
		if id < 2 || id >= in.meta.high || in.seen[id] || free[id] {
			in.fault("the freelist names page %d wrongly", id)
			return
		}
		free[id] = true
	}
}

// scan collects the records of every leaf page of the file, former versions of pages included, from a sequence on.
func (in *inspector) scan(pageSize int, from uint64) {
	var walk func(b []byte, depth int)
	walk = func(b []byte, depth int) {
		eachLeaf(b, func(flags uint32, _, value []byte) {
			if flags&boltBucketFlag == 0 {
				if r, err := decodeRecord(value); err == nil && r.sequence >= from {
					in.older = append(in.older, r)
				}
			} else if depth < maxBucketDepth && len(value) >= boltBucket && boltOrder.Uint64(value) == 0 {
				walk(value[boltBucket:], depth+1)
			}
		})
	}
	for at := 0; at+boltPageHeader <= len(in.data); at += pageSize {
		b := in.data[at:]
		if boltOrder.Uint16(b[8:]) != boltLeafPage {
			continue
		}
		end := min((int64(boltOrder.Uint32(b[12:]))+1)*int64(pageSize), int64(len(b)), 2*maxPayloadBytes)
		b = b[:end]
		walk(b, 0)
	}
}

// eachLeaf calls f for the elements of a leaf page and reports whether all of them lie inside it.
func eachLeaf(b []byte, f func(flags uint32, key, value []byte)) bool {
	if len(b) < boltPageHeader || boltOrder.Uint16(b[8:]) != boltLeafPage {
		return false
	}
	count := int(boltOrder.Uint16(b[10:]))
	whole := boltPageHeader+count*boltElement <= len(b)
	free := uint64(0) // end of the last element; they lie in order, and not over each other
	for i := 0; i < count && boltPageHeader+(i+1)*boltElement <= len(b); i++ {
		at := boltPageHeader + i*boltElement
		e := b[at:]
		keyAt := uint64(at) + uint64(boltOrder.Uint32(e[4:]))
		valueAt := keyAt + uint64(boltOrder.Uint32(e[8:]))
		end := valueAt + uint64(boltOrder.Uint32(e[12:]))
		if keyAt == valueAt || keyAt < free || end > uint64(len(b)) {
			whole = false
			continue
		}
		free = end
		f(boltOrder.Uint32(e), b[keyAt:valueAt], b[valueAt:end])
	}
	return whole
}
