// Package store keeps a durable copy of a node's registry: for each client, its greatest report.
//
// A [Store] is a directory that one process at a time has open. A key is the number of a batch, a value the texts of its reports. What
// [Store.Write] has returned nil for is on disk, and stays there when the process is killed or the power fails.
//
// # When the disk fails
//
// The engine beneath ends the process when it cannot write. So it works through a breaker (breaker.go): after the first error nothing is
// changed on the disk any more, while the engine is left to believe that all went well and is closed. The files are then those of a crash
// at that moment. [Store.Failed] is closed, every Write returns the error, and [Store.Reopen] tries anew.
//
// # What is damaged
//
// A file that is not as it was written is an error when the store is opened or read, and nothing is deleted or repaired. Only
// a torn last write is ignored, since that is how a crash leaves it.
package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"herd/node/line"
)

// Logger logs the errors of the engine.
type Logger interface {
	Errorf(format string, args ...any)
}

// Config says which store to open.
type Config struct {
	Dir  string        // made if it is not there
	Herd string        // the herd whose reports these are
	Node line.NodeName // the node that keeps them
	Log  Logger        // or nil
	FS   vfs.FS        // nil: that of the system

	memTable uint64 // bytes
}

// Store is a durable registry. Its methods can be used concurrently, but for Reopen and Close.
type Store struct {
	config Config
	lock   io.Closer
	engine atomic.Pointer[engine]

	closing sync.Once
}

// Open opens the store in a directory, or makes a new one if that is empty.
func Open(c Config) (*Store, error) {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Log == nil {
		c.Log = noLog{}
	}
	if c.memTable == 0 {
		c.memTable = memTable
	}
	s := &Store{config: c}
	if err := mkdir(c.FS, c.Dir); err != nil {
		return nil, s.explain(err)
	}
	lock, err := c.FS.Lock(c.FS.PathJoin(c.Dir, "LOCK"))
	if err != nil {
		return nil, s.explain(locking(err))
	}
	s.lock = lock
	if err := s.Reopen(); err != nil {
		_ = lock.Close() // the first error is the one to return
		return nil, err
	}
	return s, nil
}

// mkdir makes a directory and the missing ones above it, and syncs them. Those that this user cannot read exist already.
func mkdir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for above := fs.PathDir(dir); above != dir; dir, above = above, fs.PathDir(above) {
		switch err := syncDir(fs, above); {
		case errors.Is(err, os.ErrPermission):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

type noLog struct{}

func (noLog) Errorf(string, ...any) {}

// Reopen opens the store again after its disk has failed.
func (s *Store) Reopen() error {
	if e := s.engine.Load(); e != nil {
		_ = e.close() // its error is the failure that Reopen is called for
	}
	for {
		e, err := start(s.config)
		if err != nil {
			return s.explain(err)
		}
		fresh := false
		err = e.use(func() (err error) {
			fresh, err = s.identify(e)
			return err
		})
		switch {
		case err == nil && !fresh:
			s.engine.Store(e)
			return nil
		case err == nil:
			err = e.close() // its log is still of an older form, without what inspectLog needs
		default:
			_ = e.close() // the first error is the one to return
		}
		if err != nil {
			return s.explain(err)
		}
	}
}

// form is the version of what a store holds, and of how.
const form = 2

// identity returns whose store this is, and in what form.
func (c *Config) identity() []byte {
	return fmt.Appendf(nil, "herd store %d\nherd %s\nnode %s\n", form, c.Herd, c.Node)
}

// identify compares the identity of the store with that of the configuration. A fresh store gets one.
func (s *Store) identify(e *engine) (fresh bool, err error) {
	got, release, err := e.Get([]byte(identityKey))
	switch {
	case err == nil:
		defer release.Close()
		if bytes.Equal(got, s.config.identity()) {
			return false, e.findNextBatch()
		}
		return false, otherOwner(bytes.Clone(got))
	case !errors.Is(err, pebble.ErrNotFound):
		return false, err
	}
	all, err := e.NewIter(nil)
	if err != nil {
		return false, err
	}
	used := all.First()
	if err := all.Close(); err != nil {
		return false, err
	}
	if used {
		return false, otherOwner("nothing")
	}
	return true, e.Set([]byte(identityKey), s.config.identity(), pebble.Sync)
}

// Failed returns a channel that is closed when the disk fails, until the store is opened again.
func (s *Store) Failed() <-chan struct{} { return s.engine.Load().breaker.failed }

// use calls do with the engine.
func (s *Store) use(do func(*engine) error) error {
	e := s.engine.Load()
	if err := e.use(func() error { return do(e) }); err != nil {
		return s.explain(err)
	}
	return nil
}

// Close closes the store and unlocks the directory, once.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		if err = errors.Join(s.engine.Load().close(), s.lock.Close()); err != nil {
			err = s.explain(err)
		}
	})
	return err
}

// otherOwner is the identity of a store that belongs to another herd or node.
type otherOwner string

func (s otherOwner) Error() string {
	return "it belongs to others: it says " + strings.ReplaceAll(strings.TrimSpace(string(s)), "\n", ", ")
}

// ErrInUse says that another process has the store open.
var ErrInUse = errors.New("another process has it open")

// locking says why a directory could not be locked. If it is locked, the system says EAGAIN, and the engine, of this process, its own.
func locking(err error) error {
	if number, ofSystem := errors.AsType[syscall.Errno](err); !ofSystem || number == syscall.EAGAIN {
		return ErrInUse
	}
	return err
}

// explain says in one line what is wrong, with which directory, and what to do.
func (s *Store) explain(err error) error {
	return fmt.Errorf("store %s: %w", s.config.Dir, hinted{err, hint(err)})
}

// hinted is an error and what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func (h hinted) Error() string {
	return strings.ReplaceAll(h.error.Error(), "\n", "; ") + "; " + h.hint
}

func hint(err error) string {
	_, ofOther := errors.AsType[otherOwner](err)
	number, ofSystem := errors.AsType[syscall.Errno](err)
	switch {
	case ofOther:
		return "give another directory with --store-dir, or move this one away"
	case errors.Is(err, ErrInUse):
		return "end that, or give another directory with --store-dir"
	case errors.Is(err, pebble.ErrClosed):
		return "it is closed"
	case number == syscall.ENOSPC || number == syscall.EDQUOT:
		return "make room there"
	case number == syscall.EROFS, errors.Is(err, os.ErrPermission):
		return "it must be a directory that this user can write to"
	case number == syscall.ENOTDIR:
		return "it must be a directory"
	case errors.Is(err, errDamaged), !ofSystem, errors.Is(err, os.ErrNotExist):
		return "nothing was deleted: restore it from a copy, or move it away and start with an empty one"
	default:
		return "see to the disk"
	}
}
