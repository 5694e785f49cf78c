package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"herd/node/flood"
	"herd/node/status"
	"herd/node/store"
)

const (
	diskPause = 40 * time.Millisecond // between the beginnings of two rounds that nobody waits for
	diskLag   = time.Second           // from which on it is said that the disk does not keep up
	diskLook  = diskLag / 4           // between two looks at that

	diskForget = time.Minute // between the beginnings of two sweeps for the sake of reports that are too old

	minDiskPause = 100 * time.Millisecond // before a disk that failed is tried again
	maxDiskPause = 10 * time.Second
)

// disk is a neighbour that never forgets. One goroutine writes what waits for it, in rounds: a round takes all that waits when it
// begins, and what is pushed meanwhile is for the next.
type disk struct {
	store   *store.Store
	always  bool // clients wait for it
	log     *zap.Logger
	engine  *flood.Engine
	journal *journal
	asked   chan struct{} // one slot: somebody waits for the next round

	sweep   sweep        // of the goroutine that writes, as is
	text    []byte       // of the last round: memory for a next one
	handed  bool         // the store was given some of the next round
	lost    bool         // what was to be is not known any more
	writing atomic.Int64 // reports of the round under way

	forgotten atomic.Bool // the disk has something that is too old
	stale     atomic.Bool // the disk is to be swept for that

	mu           sync.Mutex
	moved        sync.Cond // of mu: ended has grown, or dead is set
	begun, ended uint64    // rounds
	busy         bool      // one is under way, or has failed
	calm         bool      // all is on disk but what was pushed a moment ago
	clean        time.Time // what was pushed before is on disk
	failing      error     // why what waits is in memory alone for now
	dead         error     // why nothing is written any more
}

// newDisk returns the disk of a node whose engine tells the journal what changes.
func newDisk(s *store.Store, always bool, log *zap.Logger, e *flood.Engine, j *journal) *disk {
	d := &disk{
		store: s, always: always, log: log, engine: e, journal: j, asked: make(chan struct{}, 1), clean: time.Now(),
		sweep: sweep{registry: e.Registry(), store: s, part: flood.Shards},
	}
	d.moved.L = &d.mu
	return d
}

// load has the registry know what the store holds and is not too old. Nobody is told.
func (d *disk) load(ctx context.Context) error {
	began := time.Now()
	d.engine.Tick(began)
	oldest, registry, reports := d.engine.Cutoff(), d.engine.Registry(), int64(0)
	for r, err := range d.store.Rounds() {
		if err != nil {
			return err
		}
		if registry.Merge(r); r.Received() < oldest {
			d.forgotten.Store(true)
		}
		reports++
		d.sweep.logged += int64(len(r.String())) + 1
		if ctx.Err() != nil {
			break
		}
	}
	clients := registry.Len()
	d.sweep.known = d.sweep.logged / max(reports, 1) * int64(clients) // or so
	d.log.Info("loaded", zap.Int("clients", clients), zap.Duration("took", time.Since(began)))
	return nil
}

// run writes what waits until ctx ends. It returns an error if clients wait for the disk and it fails.
func (d *disk) run(ctx context.Context) error {
	for d.await(ctx) {
		began := time.Now()
		err := d.round(false)
		if err == nil {
			err = d.pause(ctx, time.After(time.Until(began.Add(diskPause))))
		}
		switch {
		case err != nil && d.always:
			d.die(err)
			return err
		case err != nil:
			d.recover(ctx, err)
		}
	}
	return nil
}

// pause returns when the next round is to begin: when it is due, or somebody waits for it. Meanwhile it hands over what there is plenty of.
func (d *disk) pause(ctx context.Context, due <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			return nil
		case <-d.asked:
			d.ask()
			return nil
		case <-d.journal.full:
			if err := d.hand(); err != nil {
				return err
			}
		}
	}
}

// hand has the store take what waits, to be on disk when the next round has ended.
func (d *disk) hand() error {
	d.mu.Lock()
	d.busy = true
	d.mu.Unlock()
	text, reports, lost := d.journal.take(d.text)
	d.writing.Add(int64(reports))
	d.handed, d.lost = true, d.lost || lost
	d.text = text
	return d.sweep.add(text)
}

// await returns when there is something to do, or false when ctx has ended.
func (d *disk) await(ctx context.Context) bool {
	if (!d.journal.rest() || d.handed || d.sweep.running()) && ctx.Err() == nil {
		return true
	}
	d.text = nil
	d.idle(true)
	defer d.idle(false)
	select {
	case <-ctx.Done():
		return false
	case <-d.journal.wake:
	case <-d.asked:
	case <-d.store.Failed():
	}
	return true
}

func (d *disk) idle(idle bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calm, d.clean = idle, time.Now()
}

// ask has the next round begin at once.
func (d *disk) ask() {
	select {
	case d.asked <- struct{}{}:
	default:
	}
}

// round writes what waits, or instead all that is known. After an error some of what waited is neither on disk nor in the journal.
func (d *disk) round(all bool) error {
	d.mu.Lock()
	d.busy = true
	d.begun++
	d.mu.Unlock()
	began := time.Now()
	text, reports, lost := d.journal.take(d.text)
	d.writing.Add(int64(reports))
	all = all || lost || d.lost
	d.handed, d.lost = false, false
	if d.stale.Swap(false) || all || d.sweep.due() {
		d.sweep.begin()
	}
	for more := true; more; more = all && d.sweep.running() {
		var err error
		if d.text, err = d.sweep.write(text); err != nil {
			return err
		}
		text = d.text[:0]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
	d.writing.Store(0)
	d.ended, d.clean = d.begun, began
	d.moved.Broadcast()
	return nil
}

// recover goes on from memory after an error of the disk, and tries to write again until it can or ctx ends. What the disk has of before
// is not relied on: all that is known is written anew.
func (d *disk) recover(ctx context.Context, err error) {
	d.fails(err)
	d.log.Error("disk failed; going on from memory", zap.Error(err))
	for pause := minDiskPause; err != nil; pause = min(2*pause, maxDiskPause) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		err = d.rewrite()
		d.fails(err)
	}
	d.log.Warn("disk is well again; all that is known is on it")
}

func (d *disk) rewrite() error {
	if err := d.store.Reopen(); err != nil {
		return err
	}
	return d.round(true)
}

func (d *disk) fails(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err
}

// die lets nobody wait any more.
func (d *disk) die(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing, d.dead = err, err
	d.moved.Broadcast()
}

// settle returns when all that was pushed before is on disk, or will never be.
func (d *disk) settle() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead == nil && !d.busy && d.journal.waiting() == 0 {
		return nil
	}
	for next := d.begun + 1; d.ended < next && d.dead == nil; d.moved.Wait() {
		d.ask()
	}
	return d.dead
}

// finish writes what waits in the end, and closes the store.
func (d *disk) finish() error {
	err := d.failing
	if err == nil {
		err = d.round(false)
	}
	if err != nil && d.dead == nil {
		err = d.rewrite() // it may be well now
	}
	closing := d.store.Close()
	switch {
	case d.dead != nil:
		return nil // Run says it
	case err != nil:
		return fmt.Errorf("not all that is known is on disk: %w", err)
	}
	return closing
}

// watch says when the disk does not keep up, and when it does again, and asks for a round when something on it is too old, until ctx ends.
func (d *disk) watch(ctx context.Context) {
	tick := time.NewTicker(diskLook)
	defer tick.Stop()
	var forgot time.Time
	for behind := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h := d.health()
		switch {
		case h.State == diskBehind && !behind:
			d.log.Error("disk does not keep up", zap.Float64("seconds", h.LagSeconds), zap.Int("waiting", h.WaitingReports))
			behind = true
		case h.State == diskWell && behind:
			d.log.Warn("disk keeps up again")
			behind = false
		}
		if time.Since(forgot) >= diskForget && d.forgotten.Swap(false) {
			forgot = time.Now()
			d.stale.Store(true)
			d.ask()
		}
	}
}

// States of a disk; that of one that fails is the error.
const (
	diskWell   = "ok"
	diskBehind = "behind"
)

func (d *disk) health() *status.Store {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := &status.Store{Mode: "interval", State: diskWell, WaitingReports: d.journal.waiting() + int(d.writing.Load())}
	if d.always {
		h.Mode = "always"
	}
	if !d.calm && (d.busy || h.WaitingReports > 0) {
		h.LagSeconds = time.Since(d.clean).Seconds()
	}
	switch {
	case d.failing != nil:
		h.State = d.failing.Error()
	case h.LagSeconds > diskLag.Seconds():
		h.State = diskBehind
	}
	return h
}
