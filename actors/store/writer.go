package store

import (
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// writer is the goroutine that owns the database. It takes one job at a time and posts one message for each to the actor.
type writer struct {
	root *actor.RootContext
	self *actor.PID
	jobs chan job      // capacity 1; the actor sends the next job after the answer to the last
	done chan struct{} // closed when the goroutine has ended and the file is closed
	ends []*jobDone    // of the last two jobs, which the actor may not have heard because it ended first; read after done
}

// job is a set of changes to commit in one transaction, or, when open is set, an attempt to open the database.
type job struct {
	open bool
	ops  []op
}

// jobDone is the writer's message to the actor. from tells one incarnation of the actor from another.
type jobDone struct {
	from   *writer
	open   bool
	opened *opened // when the database was opened, at the actor's wish or because its file had gone
	err    error
	closed bool // the database is not open (any more)
}

func startWriter(root *actor.RootContext, self *actor.PID, dir string, now func() time.Time) *writer {
	w := &writer{root: root, self: self, jobs: make(chan job, 1), done: make(chan struct{})}
	go w.run(&disk{dir: dir, now: now})
	return w
}

func (w *writer) run(d *disk) {
	defer close(w.done)
	// A damaged page of the mapped file becomes a panic that disk recovers from, instead of the end of the process.
	debug.SetPanicOnFault(true)
	defer d.close()
	for j := range w.jobs {
		r := &jobDone{from: w, open: j.open}
		if j.open {
			var res opened
			res, r.err = d.open()
			r.opened = &res
		} else {
			r.opened, r.err = commit(d, j.ops)
		}
		r.closed = !d.isOpen()
		w.ends = append(w.ends[max(0, len(w.ends)-1):], r)
		w.root.Send(w.self, r)
	}
}

// commit writes to the database, which it opens again first when its file has been taken away.
func commit(d *disk, ops []op) (*opened, error) {
	var again *opened
	if !d.inPlace() {
		d.close()
		res, err := d.open()
		if err != nil {
			return nil, err
		}
		again = &res
	}
	err := d.write(ops)
	if isDamage(err) {
		d.close()
	}
	return again, err
}

// stop ends the goroutine after the job it is at, if it is busy, and one more that makes the final changes, if there are any. It returns what became of either.
func (w *writer) stop(final []op, busy bool) (current, last *jobDone) {
	if len(final) > 0 {
		w.jobs <- job{ops: final} // waits at most until the writer has taken the job before
	}
	close(w.jobs)
	<-w.done
	ends := w.ends
	if len(final) > 0 {
		last, ends = ends[len(ends)-1], ends[:len(ends)-1]
	}
	if busy {
		current = ends[len(ends)-1]
	}
	return current, last
}
