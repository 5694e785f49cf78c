package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"herd/node/flood"
	"herd/node/session"
	"herd/node/status"
	"herd/node/store"
)

const (
	batchInterval      = 40 * time.Millisecond // between the starts of two batches that no client waits for
	maxStoreLag        = time.Second           // a store that lags more is said not to keep up
	storeCheckInterval = maxStoreLag / 4       // between two checks of that
	expiryInterval     = time.Minute           // between the starts of two compactions for the sake of expired reports

	minRetryDelay = 100 * time.Millisecond // before a store that failed is tried again
	maxRetryDelay = 10 * time.Second
)

// storeWriter writes what changes the registry to a store. One goroutine writes, in batches: a batch is everything that waits when it
// starts, what is pushed meanwhile is for the next one.
type storeWriter struct {
	store     *store.Store
	always    bool // clients wait until their reports are in the store
	log       *zap.Logger
	engine    *flood.Engine
	journal   *journal
	requested chan struct{} // holds a value when the next batch is to start at once

	// Of the goroutine that writes.
	compaction  compaction
	buffer      []byte // memory for the next batch, or nil
	appended    bool   // a part of the next batch was appended to the store, but not synced
	journalLost bool   // the journal dropped a part of the next batch

	expired    atomic.Bool // the store has reports that have expired
	rewriteDue atomic.Bool // a compaction is to start with the next batch, because of these

	mu             sync.Mutex
	changed        sync.Cond // of mu: batchesSynced has grown, or fatal is set
	batchesStarted uint64
	batchesSynced  uint64    // at most batchesStarted
	busy           bool      // a batch is being written, or has failed
	writingReports int       // reports of the batch that is being written, or has failed
	writingSince   time.Time // when the first of them was pushed
	failure        error     // why what waits is in memory alone for now, or nil
	fatal          error     // why nothing is written any more, or nil
}

// newStoreWriter returns the writer of a node whose engine pushes to the journal what changes.
func newStoreWriter(s *store.Store, always bool, log *zap.Logger, e *flood.Engine, j *journal) *storeWriter {
	w := &storeWriter{
		store: s, always: always, log: log, engine: e, journal: j, requested: make(chan struct{}, 1),
		compaction: compaction{registry: e.Registry(), store: s, shard: flood.Shards},
	}
	w.changed.L = &w.mu
	return w
}

// load merges into the registry what the store holds and what has not expired. Nothing of it is sent to neighbours.
func (w *storeWriter) load(ctx context.Context) error {
	started := time.Now()
	w.engine.Tick(started)
	cutoff, registry, reports := w.engine.Cutoff(), w.engine.Registry(), int64(0)
	for r, err := range w.store.Written() {
		if err != nil {
			return err
		}
		if registry.Merge(r); r.Received() < cutoff {
			w.expired.Store(true)
		}
		reports++
		w.compaction.storeBytes += int64(len(r.String())) + 1
		if ctx.Err() != nil {
			break
		}
	}
	clients := registry.Len()
	w.compaction.registryBytes = w.compaction.storeBytes / max(reports, 1) * int64(clients) // estimated
	w.log.Info("loaded", session.Routine, zap.Int("clients", clients), zap.Duration("took", time.Since(started)))
	return nil
}

// run writes what waits until ctx ends. It returns an error if clients wait for the store and it fails.
func (w *storeWriter) run(ctx context.Context) error {
	for w.await(ctx) {
		started := time.Now()
		err := w.writeBatch(false)
		if err == nil {
			err = w.pause(ctx, time.After(time.Until(started.Add(batchInterval))))
		}
		switch {
		case err != nil && w.always:
			w.fail(err)
			return err
		case err != nil:
			w.recover(ctx, err)
		}
	}
	return nil
}

// await returns when there is something to do, or false when ctx has ended.
func (w *storeWriter) await(ctx context.Context) bool {
	if (!w.journal.empty() || w.appended || w.compaction.running()) && ctx.Err() == nil {
		return true
	}
	w.buffer = nil
	select {
	case <-ctx.Done():
		return false
	case <-w.journal.wake:
	case <-w.requested:
	case <-w.store.Failed():
	}
	return true
}

// pause returns when the next batch is to start: when it is due, or somebody waits for it. Meanwhile it appends to the store what becomes
// a largeBatch.
func (w *storeWriter) pause(ctx context.Context, due <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			return nil
		case <-w.requested:
			signal(w.requested)
			return nil
		case <-w.journal.full:
			if err := w.append(); err != nil {
				return err
			}
		}
	}
}

// append appends what waits to the store. It is synced with the next batch.
func (w *storeWriter) append() error {
	b := w.swap()
	w.appended, w.journalLost = true, w.journalLost || b.lost
	w.buffer = b.text
	return w.compaction.append(b.text)
}

// swap takes what waits out of the journal, to be written.
func (w *storeWriter) swap() batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = true
	b := w.journal.swap(w.buffer)
	if w.writingReports == 0 {
		w.writingSince = b.since
	}
	w.writingReports += b.reports
	return b
}

// writeBatch writes what waits; or the whole registry, if all is true or the journal has dropped something. After an error some of what
// waited is neither in the store nor in the journal.
func (w *storeWriter) writeBatch(all bool) error {
	w.mu.Lock()
	w.batchesStarted++
	w.mu.Unlock()
	b := w.swap()
	text := b.text
	all = all || b.lost || w.journalLost
	w.appended, w.journalLost = false, false
	if w.rewriteDue.Swap(false) || all || w.compaction.due() {
		w.compaction.start()
	}
	for more := true; more; more = all && w.compaction.running() {
		var err error
		if w.buffer, err = w.compaction.write(text); err != nil {
			return err
		}
		text = w.buffer[:0]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy, w.writingReports = false, 0
	w.batchesSynced = w.batchesStarted
	w.changed.Broadcast()
	return nil
}

// recover goes on from memory after an error of the store, and tries to write again until it can or ctx ends. It does not rely on what the
// store holds, and writes the whole registry anew.
func (w *storeWriter) recover(ctx context.Context, err error) {
	w.setFailure(err)
	w.log.Error("store failed; going on from memory", zap.Error(err))
	for delay := minRetryDelay; err != nil; delay = min(2*delay, maxRetryDelay) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
		err = w.rewrite()
		w.setFailure(err)
	}
	w.log.Warn("store works again; it holds everything")
}

// rewrite opens the store again and writes the whole registry.
func (w *storeWriter) rewrite() error {
	if err := w.store.Reopen(); err != nil {
		return err
	}
	return w.writeBatch(true)
}

func (w *storeWriter) setFailure(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = err
}

// fail ends all waiting for the store with an error.
func (w *storeWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure, w.fatal = err, err
	w.changed.Broadcast()
}

// waitForSync returns when everything that was pushed before is in the store, or an error if it never will be.
func (w *storeWriter) waitForSync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiting, _ := w.journal.waiting(); waiting == 0 && !w.busy && w.fatal == nil {
		return nil
	}
	for next := w.batchesStarted + 1; w.batchesSynced < next && w.fatal == nil; w.changed.Wait() {
		signal(w.requested)
	}
	return w.fatal
}

// finish writes what waits after run has ended, and closes the store.
func (w *storeWriter) finish() error {
	err := w.failure
	if err == nil {
		err = w.writeBatch(false)
	}
	if err != nil && w.fatal == nil {
		err = w.rewrite() // the store may work again by now
	}
	closing := w.store.Close()
	switch {
	case w.fatal != nil:
		return nil // Run returns it
	case err != nil:
		return fmt.Errorf("not everything is in the store: %w", err)
	}
	return closing
}

// watch logs when the store does not keep up, and when it does again, and starts a compaction when reports in it have expired, until ctx
// ends.
func (w *storeWriter) watch(ctx context.Context) {
	tick := time.NewTicker(storeCheckInterval)
	defer tick.Stop()
	var lastExpiry time.Time
	for behind := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h := w.health()
		switch {
		case h.State == storeBehind && !behind:
			w.log.Error("store does not keep up", zap.Float64("seconds", h.LagSeconds), zap.Int("waiting", h.WaitingReports))
			behind = true
		case h.State == storeOK && behind:
			w.log.Warn("store keeps up again")
			behind = false
		}
		if time.Since(lastExpiry) >= expiryInterval && w.expired.Swap(false) {
			lastExpiry = time.Now()
			w.rewriteDue.Store(true)
			signal(w.requested)
		}
	}
}

// States of a store; that of one that fails is the error.
const (
	storeOK     = "ok"
	storeBehind = "behind"
)

func (w *storeWriter) health() *status.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting, since := w.journal.waiting()
	if w.writingReports > 0 {
		since = w.writingSince
	}
	h := &status.Store{Mode: "interval", State: storeOK, WaitingReports: waiting + w.writingReports}
	if w.always {
		h.Mode = "always"
	}
	if h.WaitingReports > 0 {
		h.LagSeconds = time.Since(since).Seconds()
	}
	switch {
	case w.failure != nil:
		h.State = w.failure.Error()
	case h.LagSeconds > maxStoreLag.Seconds():
		h.State = storeBehind
	}
	return h
}
