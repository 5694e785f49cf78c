package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"herd/node/line"
)

// history is what was written to a store: how often each client was written, and how far that is known to be on disk.
type history struct {
	mu             sync.Mutex
	tried, written map[int]int
}

func newHistory() *history { return &history{tried: make(map[int]int), written: make(map[int]int)} }

func (h *history) snapshot() *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &history{tried: maps.Clone(h.tried), written: maps.Clone(h.written)}
}

// write writes the next reports of some clients.
func (h *history) write(s *Store, clients []int) error {
	var batch []line.Report
	h.mu.Lock()
	for _, c := range clients {
		h.tried[c]++
		batch = append(batch, report(c, h.tried[c]))
	}
	now := maps.Clone(h.tried)
	h.mu.Unlock()
	if err := s.Write(texts(batch...)); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range clients {
		h.written[c] = now[c]
	}
	return nil
}

// check opens a store and finds out whether it holds what was written, and nothing that was not.
func (h *history) check(c Config) error {
	s, err := Open(c)
	if err != nil {
		return err
	}
	held, err := contents(s)
	if err != nil {
		return err
	}
	known := 0
	for client, tried := range h.tried {
		got, n := held[report(client, 0).Client()], h.written[client]
		for n < tried && got != report(client, n) {
			n++
		}
		switch {
		case n > 0 && got == report(client, n):
			known++
		case n > 0 && !got.IsZero(), h.written[client] > 0:
			return fmt.Errorf("holds %q, but what was written of it is %d, what was tried %d", got, h.written[client], tried)
		}
	}
	if len(held) != known {
		return fmt.Errorf("%d reports that nobody wrote", len(held)-known)
	}
	return s.Close()
}

// work writes enough to have tables written and merged.
func (h *history) work(s *Store) error { return h.writes(s, 12) }

func (h *history) writes(s *Store, times int) error {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range times {
		if err := h.write(s, rnd.Perm(80)[:40]); err != nil {
			return err
		}
		if n%4 == 3 {
			if err := h.sweep(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep writes all that there is anew, in two parts, and drops what was written before.
func (h *history) sweep(s *Store) error {
	first := s.NextBatch()
	var all []line.Report
	for client, n := range h.snapshot().tried {
		all = append(all, report(client, n))
	}
	if err := s.Append(texts(all[:len(all)/2]...)); err != nil {
		return err
	}
	if err := s.Write(texts(all[len(all)/2:]...)); err != nil {
		return err
	}
	return s.Drop(first)
}

// changes reports whether an operation does something to the disk.
func changes(op errorfs.Op) bool {
	return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpLock && op.Kind != errorfs.OpFileClose
}

// crashable is a disk in memory of which a copy can be taken at any moment. MemFS alone may wait for itself then: its ReuseForWrite holds
// a read lock that its Rename takes again.
type crashable struct{ *vfs.MemFS }

func (c crashable) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := c.Rename(from, to); err != nil {
		return nil, err
	}
	return c.OpenReadWrite(to, category)
}

// TestCrash cuts the power before every change of the disk, and looks at what is left: once with nothing but what was synced, once
// with half of the rest.
func TestCrash(t *testing.T) {
	type crash struct {
		before errorfs.Op
		fs     *vfs.MemFS
		then   *history
	}
	var (
		disk    = vfs.NewCrashableMem()
		history = newHistory()
		mu      sync.Mutex
		rnd     = rand.New(rand.NewPCG(3, 4))
		crashes []crash
		kinds   = make(map[errorfs.OpKind]int)
	)
	snapshot := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if changes(op) {
			// What is known to be written may only grow between the two.
			then := history.snapshot()
			mu.Lock()
			defer mu.Unlock()
			kinds[op.Kind]++
			for _, percent := range []int{0, 50} {
				fs := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rnd})
				crashes = append(crashes, crash{op, fs, then})
			}
		}
		return nil
	})
	s := open(t, small(errorfs.Wrap(crashable{disk}, snapshot)))
	if err := history.work(s); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	for i, c := range crashes {
		then := history.snapshot()
		then.written = c.then.written
		if err := then.check(small(c.fs)); err != nil {
			t.Errorf("crash %d, before %v of %s: %v", i, c.before.Kind, c.before.Path, err)
		}
	}
	t.Logf("%d crashes, before %v", len(crashes), kinds)
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpRemove, errorfs.OpRename} {
		if kinds[kind] == 0 {
			t.Errorf("no crash before an operation of kind %d", kind)
		}
	}
}

// TestErrors has the disk fail at every third change, one in two for a moment, the others for good, and has it get well: nothing that was written
// gets lost, nothing ends the process, and the rest can be written then.
func TestErrors(t *testing.T) {
	for begin, lasting := range []bool{false, true} {
		failures := 0
		for at := 3 * begin; ; at += 6 {
			var mu sync.Mutex
			n, well := 0, false
			fault := errorfs.InjectorFunc(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if !changes(op) {
					return nil
				}
				n++
				if n-1 == at || n-1 > at && lasting && !well {
					return syscall.ENOSPC
				}
				return nil
			})
			disk, history := vfs.NewCrashableMem(), newHistory()
			c := small(errorfs.Wrap(disk, fault))
			s, err := Open(c)
			if err == nil {
				err = history.work(s)
			}
			if err == nil {
				err = s.Close()
				s = nil
			}
			mu.Lock()
			well = true
			reached := n > at
			mu.Unlock()
			if !reached {
				break
			}
			if err == nil {
				// What failed was of no use: the directory is as it should be.
				if err := history.check(small(disk)); err != nil {
					t.Fatalf("lasting %v, change %d: %v", lasting, at, err)
				}
				continue
			}
			failures++
			if err := history.check(small(disk.CrashClone(vfs.CrashCloneCfg{}))); err != nil {
				t.Fatalf("lasting %v, change %d: after a crash: %v", lasting, at, err)
			}
			if s == nil {
				s = open(t, c)
			} else if err := s.Reopen(); err != nil {
				t.Fatalf("lasting %v, change %d: %v", lasting, at, err)
			}
			if err := history.writes(s, 2); err != nil {
				t.Fatalf("lasting %v, change %d: the disk is well, but %v", lasting, at, err)
			}
			shut(t, s)
			if err := history.check(small(disk.CrashClone(vfs.CrashCloneCfg{}))); err != nil {
				t.Fatalf("lasting %v, change %d: in the end: %v", lasting, at, err)
			}
		}
		t.Logf("lasting %v: %d failures", lasting, failures)
		if failures < 25 {
			t.Errorf("lasting %v: only %d changes failed", lasting, failures)
		}
	}
}
