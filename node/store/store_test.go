package store

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"herd/node/line"
)

// report makes the n-th report of a client.
func report(client, n int) line.Report {
	r, err := line.ParseReport(fmt.Sprintf("Goloman +0.263873386 client-%03d.example +34.068930-118.445127 %d.5", client, n))
	if err != nil {
		panic(err)
	}
	return r
}

// texts is what Write takes.
func texts(reports ...line.Report) (text []byte) {
	for _, r := range reports {
		text = append(append(text, r.String()...), '\n')
	}
	return text
}

// small has the engine write and merge tables after a few reports.
func small(fs vfs.FS) Config {
	return Config{Dir: "data/Goloman", Herd: "herd", Node: "Goloman", FS: fs, memTable: 8 << 10}
}

func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// contents returns what a store holds, by client.
func contents(s *Store) (map[line.ClientID]line.Report, error) {
	held := make(map[line.ClientID]line.Report)
	for r, err := range s.All() {
		if err != nil {
			return held, err
		}
		held[r.Client()] = r
	}
	return held, nil
}

// holds fails the test unless the store holds just that.
func holds(t *testing.T, s *Store, want map[line.ClientID]line.Report) {
	t.Helper()
	got, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Fatalf("holds %d reports other than the %d written", len(got), len(want))
	}
}

// TestModel does what a node does, at random, to a store and to a map.
func TestModel(t *testing.T) {
	for seed := range uint64(2) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		fs := vfs.NewCrashableMem()
		s := open(t, small(fs))
		model := make(map[line.ClientID]line.Report)
		merge := func(r line.Report) (isNew bool) {
			held, known := model[r.Client()]
			if isNew = !known || r.Compare(held) > 0; isNew {
				model[r.Client()] = r
			}
			return isNew
		}
		var done [6]int
		for n := 1; n <= 300; n++ {
			batch := make(map[line.ClientID]line.Report)
			for _, client := range rnd.Perm(200)[:rnd.IntN(60)] {
				r := report(client, rnd.IntN(1000))
				batch[r.Client()] = r
			}
			what := rnd.IntN(len(done))
			switch done[what]++; what {
			case 0, 1, 2:
				if err := s.Write(texts(slices.Collect(maps.Values(batch))...)); err != nil {
					t.Fatal(err)
				}
				for _, r := range batch {
					merge(r)
				}
			case 3:
				want := 0
				for _, r := range batch {
					if merge(r) {
						want++
					}
				}
				if got, err := s.Merge(maps.Clone(batch)); err != nil || got != want {
					t.Fatalf("seed %d, step %d: Merge returned %d, %v, want %d", seed, n, got, err, want)
				}
			case 4: // a sweep that forgets
				limit, first := report(0, rnd.IntN(300)), s.NextBatch()
				maps.DeleteFunc(model, func(_ line.ClientID, r line.Report) bool { return limit.Later(r) })
				if err := s.Write(texts(slices.Collect(maps.Values(model))...)); err != nil {
					t.Fatal(err)
				}
				if err := s.Drop(first); err != nil {
					t.Fatal(err)
				}
			case 5:
				if rnd.IntN(2) == 0 {
					shut(t, s)
				} else {
					fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rnd})
					defer shut(t, s)
				}
				s = open(t, small(fs))
			}
			holds(t, s, model)
		}
		shut(t, s)
		for what, times := range done {
			if times == 0 {
				t.Errorf("seed %d: nothing of kind %d was done", seed, what)
			}
		}
	}
}

// TestOrder ranges over a store and stops.
func TestOrder(t *testing.T) {
	s := open(t, small(vfs.NewMem()))
	defer shut(t, s)
	if err := s.Write(texts(report(2, 1), report(0, 1), report(1, 2), report(1, 1))); err != nil {
		t.Fatal(err)
	}
	got := func(all iter.Seq2[line.Report, error]) (got []line.Report) {
		t.Helper()
		for r, err := range all {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, r); len(got) == 2 {
				break
			}
		}
		return got
	}
	if got, want := got(s.All()), []line.Report{report(0, 1), report(1, 2)}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := got(s.Written()), []line.Report{report(2, 1), report(0, 1)}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPieces writes a batch that is more than one value, and one of reports that are as long as can be.
func TestPieces(t *testing.T) {
	s := open(t, small(vfs.NewMem()))
	defer shut(t, s)
	want := make(map[line.ClientID]line.Report)
	var batch []byte
	for i := range 40 {
		for _, r := range []line.Report{report(i, 1), longest(t, i)} {
			want[r.Client()] = r
			batch = append(batch, texts(r)...)
		}
	}
	if err := s.Write(batch); err != nil {
		t.Fatal(err)
	}
	holds(t, s, want)
	if got := s.NextBatch(); got < 40 {
		t.Errorf("%d values", got)
	}
}

// What was appended is on disk when the next write has ended, even one of nothing.
func TestAppend(t *testing.T) {
	for _, last := range [][]line.Report{nil, {report(9, 1)}} {
		fs := vfs.NewCrashableMem()
		s := open(t, small(fs))
		want := make(map[line.ClientID]line.Report)
		for i := range 3 {
			want[report(i, 1).Client()] = report(i, 1)
			if err := s.Append(texts(report(i, 1))); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range last {
			want[r.Client()] = r
		}
		if err := s.Write(texts(last...)); err != nil {
			t.Fatal(err)
		}
		left := open(t, small(fs.CrashClone(vfs.CrashCloneCfg{})))
		holds(t, left, want)
		shut(t, left)
		shut(t, s)
	}
}

// longest makes a report as long as can be.
func longest(t *testing.T, n int) line.Report {
	t.Helper()
	head := fmt.Sprintf("Goloman +0.000000000 long-%02d +1+1 1.", n)
	r, err := line.ParseReport(head + strings.Repeat("1", line.MaxReport-len(head)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRoom has batches written and dropped for long, and checks how much room the store takes.
func TestRoom(t *testing.T) {
	const batch, kept, batches = 64 << 10, 16, 640
	fs := vfs.NewMem()
	s := open(t, Config{Dir: "d", Herd: "herd", Node: "Goloman", FS: fs, memTable: 256 << 10})
	defer shut(t, s)
	text := texts(report(1, 1))
	text = bytes.Repeat(text, batch/len(text))
	first, peak := s.NextBatch(), int64(0)
	for n := range batches {
		if err := s.Write(text); err != nil {
			t.Fatal(err)
		}
		if n%kept == kept-1 {
			if err := s.Drop(first); err != nil {
				t.Fatal(err)
			}
			first = s.NextBatch()
		}
		peak = max(peak, size(t, fs))
	}
	t.Logf("%d bytes at most, of %d written", peak, batches*batch)
	if most := int64(16 << 20); peak > most { // what is dropped is deleted a moment later
		t.Errorf("takes %d bytes, want at most %d", peak, most)
	}
}

// size returns how many bytes there are in the files of a store.
func size(t *testing.T, fs vfs.FS) (sum int64) {
	t.Helper()
	names, err := fs.List("d")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := fs.Stat(fs.PathJoin("d", name)); err == nil { // else it is gone meanwhile
			sum += info.Size()
		}
	}
	return sum
}
