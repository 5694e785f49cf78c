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

// newTestDisk returns the disk of an engine, on a file system that can crash, and what has the engine hear the n-th report of a client.
func newTestDisk(t *testing.T) (d *disk, fs *vfs.MemFS, hear func(client, n int)) {
	t.Helper()
	fs = vfs.NewCrashableMem()
	s := openStore(t, "Goloman", fs)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	changes := newJournal()
	e := flood.NewEngine(flood.Config{Name: "Goloman", Topology: starTopology(t, "Goloman"), QueueLimit: 1, OnChange: changes.push})
	hear = func(client, n int) {
		r, err := line.ParseReport(fmt.Sprintf("Goloman +0.000000000 client-%d +34.068930-118.445127 %d", client, n))
		if err != nil {
			t.Fatal(err)
		}
		e.Apply(r, flood.Local)
	}
	return newDisk(s, false, zap.NewNop(), e, changes), fs, hear
}

// same fails the test unless a crash now leaves what the registry holds.
func (d *disk) same(t *testing.T, fs *vfs.MemFS) {
	t.Helper()
	held := make(map[line.ClientID]string)
	for r := range d.engine.Registry().All() {
		held[r.Client()] = r.String()
	}
	p := &platter{MemFS: fs}
	if got := p.survivors(t); !maps.Equal(got, held) {
		t.Fatalf("%d reports are on disk other than the %d that are known", len(got), len(held))
	}
}

// The log of rounds stays short: sweeps go along with rounds, and what is known is on disk all the time.
func TestSweep(t *testing.T) {
	d, fs, hear := newTestDisk(t)
	const clients, perRound = 40_000, 20_000
	n, sweeps, halfway := 0, 0, 0
	for round := 0; sweeps < 2; round++ {
		for i := range perRound {
			if hear(n%clients, n); i == perRound/2 {
				if err := d.hand(); err != nil {
					t.Fatal(err)
				}
			}
			n++
		}
		before := d.sweep.running()
		if err := d.round(false); err != nil {
			t.Fatal(err)
		}
		switch {
		case d.sweep.running():
			halfway++
		case before:
			sweeps++
			d.same(t, fs)
		}
		if most := int64(sweepSlack) + 4*d.sweep.known + 4<<20; d.sweep.logged > most {
			t.Fatalf("round %d: %d bytes of rounds, want at most %d", round, d.sweep.logged, most)
		}
	}
	if halfway == 0 {
		t.Error("no sweep took more than one round")
	}
	known := int64(0)
	for r := range d.engine.Registry().All() {
		known += int64(len(r.String())) + 1
	}
	if d.sweep.known > known || d.sweep.known < known*9/10 {
		t.Errorf("known are %d bytes, want about %d", d.sweep.known, known)
	}
}

// A journal that is full is emptied, and the next round writes all that is known instead, whatever else is under way.
func TestJournalFull(t *testing.T) {
	const clients = 40_000 // of more bytes than a round writes of the registry at a time
	for _, when := range []string{"at rest", "handed over", "in a sweep"} {
		d, fs, hear := newTestDisk(t)
		n := 0
		if when == "in a sweep" {
			for ; n < clients; n++ {
				hear(n, n)
			}
			if err := d.round(false); err != nil {
				t.Fatal(err)
			}
			d.stale.Store(true)
			if err := d.round(false); err != nil {
				t.Fatal(err)
			}
			if !d.sweep.running() {
				t.Fatal("no sweep is under way")
			}
		}
		first := n
		for lost := false; !lost; n++ {
			hear(n%clients, n)
			lost = d.journal.lost
		}
		if got := len(d.journal.text); got != 0 {
			t.Errorf("%s: it keeps %d bytes", when, got)
		}
		for range 1000 { // more than one part, and none of it in the journal
			hear(n%clients, n)
			n++
		}
		if got := d.journal.waiting(); got != n-first {
			t.Errorf("%s: %d wait, want %d", when, got, n-first)
		}
		if when == "handed over" {
			if err := d.hand(); err != nil {
				t.Fatal(err)
			}
			hear(0, n)
		}
		if err := d.round(false); err != nil {
			t.Fatal(err)
		}
		d.same(t, fs)
		if d.journal.waiting() > 0 || d.sweep.running() || d.sweep.logged-d.sweep.known > 100 {
			t.Errorf("%s: %d wait, %d bytes of rounds, %d known", when, d.journal.waiting(), d.sweep.logged, d.sweep.known)
		}
	}
}

// An idle node writes nothing.
func TestIdleDisk(t *testing.T) {
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

// What the store was given, but not yet on disk, is waited for, and written without more to do.
func TestSettleWaitsForWhatIsHanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, fs, hear := newTestDisk(t)
		if err := d.settle(); err != nil { // nothing is to be waited for
			t.Fatal(err)
		}
		hear(1, 1)
		<-d.journal.wake
		if err := d.hand(); err != nil {
			t.Fatal(err)
		}
		woken, awaitContents := false, false
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { woken = d.await(ctx) }()
		if synctest.Wait(); !woken {
			t.Error("what was handed over waits for something new")
		}
		go func() { awaitContents = d.settle() == nil }()
		if synctest.Wait(); awaitContents {
			t.Error("what is not synced is on disk")
		}
		if err := d.round(false); err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); !awaitContents {
			t.Error("what is on disk is waited for")
		}
		d.same(t, fs)
	})
}
