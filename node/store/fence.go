package store

import (
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence is the file system that an engine works on. It remembers the first change that fails. From then on nothing is changed any more,
// and the engine hears of no error: it would end the process.
type fence struct {
	vfs.FS
	failed chan struct{} // closed after the first error

	mu  sync.RWMutex // held for reading while something is changed
	err error
}

func newFence(fs vfs.FS) *fence { return &fence{FS: fs, failed: make(chan struct{})} }

// fail closes the fence, unless it is closed.
func (f *fence) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.failed)
	}
}

// failure returns why the fence is closed, if it is. Then nothing changes behind it any more.
func (f *fence) failure() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.err
}

// change does something to the disk, unless the fence is closed. If it fails, the fence is.
func (f *fence) change(do func() error) {
	if err := f.attempt(do); err != nil {
		f.fail(err)
	}
}

func (f *fence) attempt(do func() error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.err != nil {
		return nil
	}
	return do()
}

// file returns what open opens to be written, or a file that is nowhere.
func (f *fence) file(name string, open func() (vfs.File, error)) vfs.File {
	w := &fenced{File: nowhere(), fence: f}
	f.change(func() error {
		opened, err := open()
		if err == nil {
			w.File = opened
			if strings.HasPrefix(f.PathBase(name), manifestPrefix) {
				w.seal = &seal{fs: f.FS, path: name + sealSuffix}
			}
		}
		return err
	})
	return w
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.Create(name, c) }), nil
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, options...) }), nil
}

func (f *fence) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) }), nil
}

// OpenDir opens a directory to be synced.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenDir(name) }), nil
}

func (f *fence) Link(from, to string) error {
	f.change(func() error { return f.FS.Link(from, to) })
	return nil
}

func (f *fence) Rename(from, to string) error {
	f.change(func() error { return f.FS.Rename(from, to) })
	return nil
}

func (f *fence) Remove(name string) error {
	f.change(func() error {
		if err := f.FS.Remove(name); err != nil && !os.IsNotExist(err) {
			return err
		}
		if strings.HasPrefix(f.PathBase(name), manifestPrefix) {
			_ = f.FS.Remove(name + sealSuffix) // of no use without it, and of no harm
		}
		return nil
	})
	return nil
}

func (f *fence) RemoveAll(name string) error {
	f.change(func() error { return f.FS.RemoveAll(name) })
	return nil
}

func (f *fence) MkdirAll(name string, mode os.FileMode) error {
	f.change(func() error { return f.FS.MkdirAll(name, mode) })
	return nil
}

// Lock does nothing: the store holds the lock, longer than any engine.
func (f *fence) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *fence) Unwrap() vfs.FS { return f.FS }

// fenced is a file that is written behind a fence.
type fenced struct {
	vfs.File
	fence *fence
	seal  *seal // of a manifest; else nil
}

func (w *fenced) Write(b []byte) (int, error) {
	w.fence.change(func() error {
		if w.seal != nil {
			w.seal.add(b)
		}
		_, err := w.File.Write(b)
		return err
	})
	return len(b), nil
}

func (w *fenced) WriteAt(b []byte, at int64) (int, error) {
	w.fence.change(func() error {
		_, err := w.File.WriteAt(b, at)
		return err
	})
	return len(b), nil
}

// Preallocate may fail: not every file system can.
func (w *fenced) Preallocate(offset, length int64) error {
	return w.fence.attempt(func() error { return w.File.Preallocate(offset, length) })
}

func (w *fenced) Sync() error     { return w.sync(w.File.Sync) }
func (w *fenced) SyncData() error { return w.sync(w.File.SyncData) }

func (w *fenced) sync(do func() error) error {
	w.fence.change(func() error {
		if err := do(); err != nil || w.seal == nil {
			return err
		}
		return w.seal.write()
	})
	return nil
}

func (w *fenced) SyncTo(length int64) (all bool, err error) {
	w.fence.change(func() (err error) {
		all, err = w.File.SyncTo(length)
		return err
	})
	return all, nil
}

// Close gives the descriptor back in any case.
func (w *fenced) Close() error {
	if err := w.File.Close(); err != nil {
		w.fence.fail(err)
	}
	return nil
}

// Stat does not fail: the engine has no use for that while it makes a log.
func (w *fenced) Stat() (vfs.FileInfo, error) {
	info, err := w.File.Stat()
	if err != nil {
		w.fence.fail(err)
		return nowhere().Stat()
	}
	return info, nil
}

// nowhere stands for a file that could not be opened. Only what changes nothing gets there.
func nowhere() vfs.File { return vfs.NewMemFile(nil) }
