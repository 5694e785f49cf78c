package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"herd/node/line"
)

// Logger takes what the engine complains about.
type Logger interface {
	Errorf(format string, args ...any)
}

// Config says which store to open.
type Config struct {
	Dir  string        // made if it is not there
	Herd string        // whose reports these are
	Node line.NodeName // who keeps them
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

// identityKey is that of what tells whose store this is. No client's ID has a blank.
const identityKey = " identity"

// chunk is the number of reports that are looked through, or written, at a time.
const chunk = 4096

// Open opens the store in a directory, or makes a new one if that is empty.
func Open(c Config) (*Store, error) {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Log == nil {
		c.Log = silence{}
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
		_ = lock.Close() // it was for nothing
		return nil, err
	}
	return s, nil
}

// mkdir makes a directory and those above it that are not there, for good. Those that this user cannot read are there already.
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

type silence struct{}

func (silence) Errorf(string, ...any) {}

// Reopen opens the store again after its disk has failed.
func (s *Store) Reopen() error {
	if e := s.engine.Load(); e != nil {
		_ = e.close() // why it failed is known
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
			_ = e.close() // nothing was written
		}
		if err != nil {
			return s.explain(err)
		}
	}
}

// identify compares what the store says of itself with what it is opened as. A fresh one is told.
func (s *Store) identify(e *engine) (fresh bool, err error) {
	want := fmt.Appendf(nil, "herd store 1\nherd %s\nnode %s\n", s.config.Herd, s.config.Node)
	got, release, err := e.Get([]byte(identityKey))
	switch {
	case err == nil:
		defer release.Close()
		if !bytes.Equal(got, want) {
			return false, stranger(bytes.Clone(got))
		}
		return false, nil
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
		return false, stranger("nothing")
	}
	return true, e.Set([]byte(identityKey), want, pebble.Sync)
}

// Failed returns a channel that is closed when the disk fails, until the store is opened again.
func (s *Store) Failed() <-chan struct{} { return s.engine.Load().fence.failed }

// All ranges over the reports, in the order of their clients' IDs, and ends with an error if there is one.
func (s *Store) All() iter.Seq2[line.Report, error] {
	return func(yield func(line.Report, error) bool) {
		err := s.use(func(e *engine) error {
			return e.scan(func(key, value []byte) (bool, error) {
				r, err := parse(key, value)
				return err == nil && yield(r, nil), err
			})
		})
		if err != nil {
			yield(line.Report{}, err)
		}
	}
}

// scan visits the reports, until visit returns false.
func (e *engine) scan(visit func(key, value []byte) (more bool, err error)) error {
	all, err := e.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := all.First(); ok && err == nil; ok = ok && all.Next() {
		if string(all.Key()) != identityKey {
			ok, err = visit(all.Key(), all.Value())
		}
	}
	return errors.Join(err, all.Close())
}

func parse(key, value []byte) (line.Report, error) {
	r, err := line.ParseReport(string(value))
	if err != nil || string(r.Client()) != string(key) {
		return r, fmt.Errorf("%w: what it has of client %q is not a report of it: %.100q", errDamaged, key, value)
	}
	return r, nil
}

// Write puts reports on disk, instead of older ones of the same clients. When it returns nil they are there; before, or after an error,
// the first of them may be.
func (s *Store) Write(reports []line.Report) error {
	return s.use(func(e *engine) error { return e.write(reports) })
}

// write waits for the disk once, for the last chunk: a log is synced from its beginning.
func (e *engine) write(reports []line.Report) error {
	b := e.NewBatch()
	defer b.Close()
	for synced := false; !synced; {
		n := min(len(reports), chunk)
		for _, r := range reports[:n] {
			set := b.SetDeferred(len(r.Client()), len(r.String()))
			copy(set.Key, r.Client())
			copy(set.Value, r.String())
			if err := set.Finish(); err != nil {
				return err
			}
		}
		reports = reports[n:]
		synced = len(reports) == 0
		if err := b.Commit(&pebble.WriteOptions{Sync: synced}); err != nil {
			return err
		}
		b.Reset()
	}
	return nil
}

// Merge writes those reports that are greater than what is there of the same client, and returns how many there were. No two are of the
// same client.
func (s *Store) Merge(reports []line.Report) (news int, err error) {
	err = s.use(func(e *engine) error {
		var greater []line.Report
		for _, r := range reports {
			old, release, err := e.Get([]byte(r.Client()))
			if err != nil && !errors.Is(err, pebble.ErrNotFound) {
				return err
			}
			var held line.Report
			known := err == nil
			if known {
				held, err = parse([]byte(r.Client()), old)
				_ = release.Close()
				if err != nil {
					return err
				}
			}
			if !known || r.Compare(held) > 0 {
				greater = append(greater, r)
			}
		}
		news = len(greater)
		return e.write(greater)
	})
	return news, err
}

// Forget deletes the reports that are too old, and returns how many. Others can use the store in between.
func (s *Store) Forget(old func(line.Report) bool) (forgotten int, err error) {
	from := []byte(nil)
	for more := true; more && err == nil; {
		err = s.use(func(e *engine) error {
			b := e.NewBatch()
			defer b.Close()
			all, err := e.NewIter(&pebble.IterOptions{LowerBound: from})
			if err != nil {
				return err
			}
			seen := 0
			for more = all.First(); more && seen < chunk && err == nil; more = all.Next() {
				seen++
				from = append(append(from[:0:0], all.Key()...), 0)
				var r line.Report
				if string(all.Key()) == identityKey {
					continue
				}
				if r, err = parse(all.Key(), all.Value()); err == nil && old(r) {
					err = b.Delete(all.Key(), nil)
				}
			}
			if err = errors.Join(err, all.Close()); err != nil || b.Empty() {
				return err
			}
			forgotten += int(b.Count())
			return b.Commit(pebble.Sync)
		})
	}
	return forgotten, err
}

// use calls do with the engine.
func (s *Store) use(do func(*engine) error) error {
	e := s.engine.Load()
	if err := e.use(func() error { return do(e) }); err != nil {
		return s.explain(err)
	}
	return nil
}

// Close closes the store, and lets others have the directory. It does so once.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		if err = errors.Join(s.engine.Load().close(), s.lock.Close()); err != nil {
			err = s.explain(err)
		}
	})
	return err
}
