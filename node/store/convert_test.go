package store

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// oldStore makes a disk with what the program before rounds left of 480 reports of 80 clients: testdata/form-1, never to be changed. It
// returns what is in it.
func oldStore(t *testing.T) (*vfs.MemFS, *history) {
	t.Helper()
	old := make(map[string][]byte)
	entries, err := os.ReadDir("testdata/form-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if old[e.Name()], err = os.ReadFile(filepath.Join("testdata/form-1", e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	h := newHistory()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		for _, client := range rnd.Perm(80)[:40] {
			h.tried[client]++
		}
	}
	h.written = maps.Clone(h.tried)
	return disk(t, old), h
}

// A store of the old form is converted when it is opened, whatever crash or error comes between.
func TestConvert(t *testing.T) {
	fs, h := oldStore(t)
	s := open(t, small(fs))
	if got, release, err := s.engine.Load().Get([]byte(identityKey)); err != nil || string(got) != "herd store 2\nherd herd\nnode Goloman\n" {
		t.Errorf("it says %q, %v", got, err)
	} else {
		_ = release.Close()
	}
	rows, err := s.engine.Load().NewIter(&pebble.IterOptions{LowerBound: []byte("!")})
	if err != nil || rows.First() {
		t.Errorf("there is %q, %v", rows.Key(), err)
	}
	_ = rows.Close()
	shut(t, s)
	if err := h.check(small(fs)); err != nil {
		t.Error(err)
	}

	failures := 0
	for at := 0; ; at++ {
		fs, h := oldStore(t)
		var mu sync.Mutex
		n := 0
		var crashed *vfs.MemFS
		fault := errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if !changes(op) {
				return nil
			}
			if n++; n-1 == at {
				crashed = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
				return syscall.EIO
			}
			return nil
		})
		if s, err := Open(small(errorfs.Wrap(fs, fault))); err == nil {
			_ = s.Close() // may have failed
		}
		if n <= at {
			break
		}
		failures++
		for what, fs := range map[string]vfs.FS{"crash": crashed, "error": fs} {
			if err := h.check(small(fs)); err != nil {
				t.Fatalf("%s at change %d: %v", what, at, err)
			}
		}
	}
	t.Logf("%d failures", failures)
	if failures < 20 {
		t.Errorf("only %d changes failed", failures)
	}
}

// A value of the old form that is not a report of its client is damaged, and nothing is converted.
func TestConvertDamaged(t *testing.T) {
	for value, what := range map[string]string{
		"x":                   `damaged: what it has of client "kiwi" is not a report of it: "x"`,
		report(1, 1).String(): `damaged: what it has of client "kiwi" is not a report of it: "Goloman +0.263873386 client-001.example +34.068930-118.445127 1.5"`,
	} {
		fs := vfs.NewMem()
		s := open(t, small(fs))
		e := s.engine.Load()
		for key, value := range map[string]string{
			identityKey: string(s.config.identity(oldForm)), "a": "Goloman +0.000000000 a +1+1 1", "kiwi": value,
		} {
			if err := e.Set([]byte(key), []byte(value), pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
		shut(t, s)
		want := "store data/Goloman: " + what + "; nothing was deleted: restore it from a copy, or move it away and start with an empty one"
		for range 2 {
			if _, err := Open(small(fs)); err == nil || err.Error() != want {
				t.Errorf("\ngot  %v\nwant %s", err, want)
			}
		}
	}
}
