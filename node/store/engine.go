package store

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"herd/node/line"
)

// Limits of what an engine keeps in memory. Five nodes may run in one process; they read from disk only when they start.
const (
	memTable       = 16 << 20 // bytes, of which it begins with 256 KiB
	blockCache     = 1 << 20  // bytes
	openFiles      = 64
	piecesPerTable = 128 // pieces of batches for which a memory table has room
)

// engine is the database that a store works with until it is closed or its disk fails.
type engine struct {
	*pebble.DB
	breaker   *breaker
	piece     int    // most bytes of a batch that are one value
	nextBatch uint64 // number of the next batch
	unsynced  bool   // some batches may not be synced

	mu     sync.Mutex // held while the database is used, so that it is not closed meanwhile
	closed bool
	end    sync.Once
	ended  chan struct{} // closed when the database is
}

// start opens the database in a directory that this process has locked.
func start(c Config) (*engine, error) {
	if err := inspect(c.FS, c.Dir); err != nil {
		return nil, err
	}
	e := &engine{breaker: newBreaker(c.FS), piece: max(int(c.memTable/piecesPerTable), line.MaxReport+1), ended: make(chan struct{})}
	cache := pebble.NewCache(blockCache)
	defer cache.Unref()
	options := &pebble.Options{
		FS: e.breaker, Cache: cache, MemTableSize: c.memTable, MaxOpenFiles: openFiles,
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             listener{e.breaker, c.Log},
		EventListener: &pebble.EventListener{
			BackgroundError: e.breaker.trip,
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				e.breaker.trip(fmt.Errorf("%w: %s: %w", errDamaged, i.Path, i.Details))
			},
		},
	}
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	options.CompactionConcurrencyRange = func() (lower, upper int) { return 1, 1 }
	db, err := pebble.Open(c.Dir, options)
	if failed := e.breaker.failure(); failed != nil {
		err = failed // whatever came of that
	}
	if err != nil {
		if db != nil {
			_ = db.Close() // nothing is written any more
		}
		return nil, err
	}
	e.DB = db
	go e.watch()
	return e, nil
}

// watch closes the database when its disk fails, before it comes upon files that it only believes to have written.
func (e *engine) watch() {
	select {
	case <-e.breaker.failed:
		_ = e.close() // nothing is written any more
	case <-e.ended:
	}
}

// use calls do with the database open, and returns why the disk failed, if it did: then what do has written may not be there.
func (e *engine) use(do func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		if err := e.breaker.failure(); err != nil {
			return err
		}
		return pebble.ErrClosed
	}
	err := do()
	if failed := e.breaker.failure(); failed != nil {
		return failed
	}
	return err
}

// close closes the database. What has been written stays written if the disk has not failed.
func (e *engine) close() error {
	err := e.breaker.failure()
	e.end.Do(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closed = true
		closing := e.Close()
		if err = e.breaker.failure(); err == nil {
			err = closing
		}
		close(e.ended)
	})
	return err
}

// listener receives the log messages of a database, of which only errors matter.
type listener struct {
	breaker *breaker
	log     Logger
}

func (listener) Infof(string, ...any) {}

func (l listener) Errorf(format string, args ...any) {
	if l.breaker.failure() == nil {
		l.log.Errorf(format, args...)
	}
}

// Fatalf does not return, as the database requires. Once the breaker has tripped, the database may miss a file that was never written; what
// it was about to do does not matter any more.
func (l listener) Fatalf(format string, args ...any) {
	if l.breaker.failure() == nil {
		panic("store: " + fmt.Sprintf(format, args...))
	}
	select {}
}
