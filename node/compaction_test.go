package node

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"herd/node/flood"
	"herd/node/line"
)

// newTestWriter returns the store writer of an engine, on a file system that can crash, and what has the engine apply the n-th report of a client.
func newTestWriter(t *testing.T) (w *storeWriter, fs *vfs.MemFS, apply func(client, n int)) {
	t.Helper()
	fs = vfs.NewCrashableMem()
	s := openStore(t, "Goloman", fs)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	changes := newJournal()
	e := flood.NewEngine(flood.Config{Name: "Goloman", Topology: starTopology(t, "Goloman"), OnChange: changes.push})
	apply = func(client, n int) {
		r, err := line.ParseReport(fmt.Sprintf("Goloman +0.000000000 client-%d +34.068930-118.445127 %d", client, n))
		if err != nil {
			t.Fatal(err)
		}
		e.Apply(r, flood.Local)
	}
	return newStoreWriter(s, false, zap.NewNop(), e, changes), fs, apply
}

// checkStore fails the test unless a crash now leaves what the registry holds.
func (w *storeWriter) checkStore(t *testing.T, fs *vfs.MemFS) {
	t.Helper()
	held := make(map[line.ClientID]string)
	for r := range w.engine.Registry().All() {
		held[r.Client()] = r.String()
	}
	p := &platter{MemFS: fs}
	if got := p.survivors(t); !maps.Equal(got, held) {
		t.Fatalf("%d reports are on disk other than the %d that are known", len(got), len(held))
	}
}

// The store stays short: compactions go along with batches, and what is known is on disk all the time.
func TestCompaction(t *testing.T) {
	w, fs, apply := newTestWriter(t)
	const clients, perRound = 40_000, 20_000
	n, compactions, halfway := 0, 0, 0
	for round := 0; compactions < 2; round++ {
		for i := range perRound {
			if apply(n%clients, n); i == perRound/2 {
				if err := w.append(); err != nil {
					t.Fatal(err)
				}
			}
			n++
		}
		before := w.compaction.running()
		if err := w.writeBatch(false); err != nil {
			t.Fatal(err)
		}
		switch {
		case w.compaction.running():
			halfway++
		case before:
			compactions++
			w.checkStore(t, fs)
		}
		if most := int64(compactionSlack) + 4*w.compaction.registryBytes + 4<<20; w.compaction.storeBytes > most {
			t.Fatalf("round %d: %d bytes of rounds, want at most %d", round, w.compaction.storeBytes, most)
		}
	}
	if halfway == 0 {
		t.Error("no compaction took more than one round")
	}
	known := int64(0)
	for r := range w.engine.Registry().All() {
		known += int64(len(r.String())) + 1
	}
	if w.compaction.registryBytes > known || w.compaction.registryBytes < known*9/10 {
		t.Errorf("known are %d bytes, want about %d", w.compaction.registryBytes, known)
	}
}

// A journal that is full drops everything, and the next batch writes all that is known instead, whatever else is running.
func TestJournalFull(t *testing.T) {
	const clients = 40_000 // of more bytes than a round writes of the registry at a time
	for _, when := range []string{"at rest", "appended", "appended twice", "during a compaction"} {
		w, fs, apply := newTestWriter(t)
		n := 0
		if when == "during a compaction" {
			for ; n < clients; n++ {
				apply(n, n)
			}
			if err := w.writeBatch(false); err != nil {
				t.Fatal(err)
			}
			w.rewriteDue.Store(true)
			if err := w.writeBatch(false); err != nil {
				t.Fatal(err)
			}
			if !w.compaction.running() {
				t.Fatal("no compaction is running")
			}
		}
		first := n
		for lost := false; !lost; n++ {
			apply(n%clients, n)
			lost = w.journal.lost
		}
		if got := len(w.journal.text); got != 0 {
			t.Errorf("%s: it keeps %d bytes", when, got)
		}
		for range 1000 { // more than one part, and none of it in the journal
			apply(n%clients, n)
			n++
		}
		if got := w.health().WaitingReports; got != n-first {
			t.Errorf("%s: %d wait, want %d", when, got, n-first)
		}
		for range map[string]int{"appended": 1, "appended twice": 2}[when] { // of which only the first knows that something was lost
			if err := w.append(); err != nil {
				t.Fatal(err)
			}
			apply(0, n)
			n++
		}
		if err := w.writeBatch(false); err != nil {
			t.Fatal(err)
		}
		w.checkStore(t, fs)
		if w.health().WaitingReports > 0 || w.compaction.running() || w.compaction.storeBytes-w.compaction.registryBytes > 100 {
			t.Errorf("%s: %d wait, %d bytes of rounds, %d known", when, w.health().WaitingReports, w.compaction.storeBytes, w.compaction.registryBytes)
		}
	}
}

// An idle node writes nothing.
func TestIdleStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatter()
		n := startAlone(t, newBlockingFinder(), p.on(t, false))
		report(t, n.listener.Dial(t), "kiwi", 1)
		time.Sleep(time.Second)
		p.failAt(1)
		time.Sleep(time.Hour)
		if p.failAt(0) {
			t.Error("something was written")
		}
	})
}

// What was appended to the store, but not synced, is waited for, and written without more to do.
func TestWaitForSyncOfAppended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, fs, apply := newTestWriter(t)
		if err := w.waitForSync(); err != nil { // nothing is to be waited for
			t.Fatal(err)
		}
		apply(1, 1)
		<-w.journal.wake
		if err := w.append(); err != nil {
			t.Fatal(err)
		}
		woken, synced := false, false
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { woken = w.await(ctx) }()
		if synctest.Wait(); !woken {
			t.Error("what was handed over waits for something new")
		}
		go func() { synced = w.waitForSync() == nil }()
		if synctest.Wait(); synced {
			t.Error("what is not synced is on disk")
		}
		if err := w.writeBatch(false); err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); !synced {
			t.Error("what is on disk is waited for")
		}
		w.checkStore(t, fs)
	})
}
