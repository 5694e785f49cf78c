package store

import (
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// breaker is the file system that an engine works on. It trips with the first change that fails: from then on nothing is changed any more,
// and the engine is left to believe that all went well, since an error would make it end the process.
type breaker struct {
	vfs.FS
	failed chan struct{} // closed when the breaker trips

	mu  sync.RWMutex // held for reading while something is changed, so that nothing is once err is set
	err error
}

func newBreaker(fs vfs.FS) *breaker { return &breaker{FS: fs, failed: make(chan struct{})} }

// trip trips the breaker, unless it has tripped.
func (b *breaker) trip(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
		close(b.failed)
	}
}

// failure returns why the breaker has tripped, if it has. Then nothing on the disk changes any more.
func (b *breaker) failure() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.err
}

// change does something to the disk, unless the breaker has tripped. If that fails, the breaker trips, and the engine gets no error.
func (b *breaker) change(do func() error) (none error) {
	if err := b.attempt(do); err != nil {
		b.trip(err)
	}
	return nil
}

func (b *breaker) attempt(do func() error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.err != nil {
		return nil
	}
	return do()
}

// file returns what open opens to be written, or a file that exists nowhere.
func (b *breaker) file(name string, open func() (vfs.File, error)) vfs.File {
	w := &guardedFile{File: nowhere(), breaker: b}
	_ = b.change(func() error {
		opened, err := open()
		if err == nil {
			w.File = opened
			if strings.HasPrefix(b.PathBase(name), manifestPrefix) {
				w.seal = &seal{fs: b.FS, path: name + sealSuffix}
			}
		}
		return err
	})
	return w
}

func (b *breaker) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return b.file(name, func() (vfs.File, error) { return b.FS.Create(name, c) }), nil
}

func (b *breaker) OpenReadWrite(name string, c vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	return b.file(name, func() (vfs.File, error) { return b.FS.OpenReadWrite(name, c, options...) }), nil
}

func (b *breaker) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return b.file(to, func() (vfs.File, error) { return b.FS.ReuseForWrite(from, to, c) }), nil
}

// OpenDir opens a directory to be synced.
func (b *breaker) OpenDir(name string) (vfs.File, error) {
	return b.file(name, func() (vfs.File, error) { return b.FS.OpenDir(name) }), nil
}

func (b *breaker) Link(from, to string) error {
	return b.change(func() error { return b.FS.Link(from, to) })
}

func (b *breaker) Rename(from, to string) error {
	return b.change(func() error { return b.FS.Rename(from, to) })
}

func (b *breaker) Remove(name string) error {
	return b.change(func() error {
		if err := b.FS.Remove(name); err != nil && !os.IsNotExist(err) {
			return err
		}
		if strings.HasPrefix(b.PathBase(name), manifestPrefix) {
			_ = b.FS.Remove(name + sealSuffix) // which is of no use without the manifest, and does no harm
		}
		return nil
	})
}

func (b *breaker) RemoveAll(name string) error {
	return b.change(func() error { return b.FS.RemoveAll(name) })
}

func (b *breaker) MkdirAll(name string, mode os.FileMode) error {
	return b.change(func() error { return b.FS.MkdirAll(name, mode) })
}

// Lock does nothing: the store holds the lock, longer than any engine.
func (b *breaker) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (b *breaker) Unwrap() vfs.FS { return b.FS }

// guardedFile is a file that is written through a breaker.
type guardedFile struct {
	vfs.File
	breaker *breaker
	seal    *seal // of a manifest; else nil
}

func (w *guardedFile) Write(b []byte) (int, error) {
	return len(b), w.breaker.change(func() error {
		if w.seal != nil {
			w.seal.add(b)
		}
		_, err := w.File.Write(b)
		return err
	})
}

func (w *guardedFile) WriteAt(b []byte, at int64) (int, error) {
	return len(b), w.breaker.change(func() error {
		_, err := w.File.WriteAt(b, at)
		return err
	})
}

// Preallocate may fail: not every file system can.
func (w *guardedFile) Preallocate(offset, length int64) error {
	return w.breaker.attempt(func() error { return w.File.Preallocate(offset, length) })
}

func (w *guardedFile) Sync() error     { return w.sync(w.File.Sync) }
func (w *guardedFile) SyncData() error { return w.sync(w.File.SyncData) }

func (w *guardedFile) sync(do func() error) error {
	return w.breaker.change(func() error {
		if err := do(); err != nil || w.seal == nil {
			return err
		}
		return w.seal.write()
	})
}

func (w *guardedFile) SyncTo(length int64) (all bool, err error) {
	_ = w.breaker.change(func() (err error) {
		all, err = w.File.SyncTo(length)
		return err
	})
	return all, nil
}

// Close releases the descriptor in any case.
func (w *guardedFile) Close() error {
	if err := w.File.Close(); err != nil {
		w.breaker.trip(err)
	}
	return nil
}

// Stat does not fail: the engine has no use for that while it makes a log.
func (w *guardedFile) Stat() (vfs.FileInfo, error) {
	info, err := w.File.Stat()
	if err != nil {
		w.breaker.trip(err)
		return nowhere().Stat()
	}
	return info, nil
}

// nowhere returns a stand-in for a file that could not be opened. What is written to it is lost.
func nowhere() vfs.File { return vfs.NewMemFile(nil) }
