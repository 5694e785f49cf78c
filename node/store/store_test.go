package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
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
		var done [6]int
		for n := 1; n <= 300; n++ {
			var batch []line.Report
			for _, client := range rnd.Perm(200)[:rnd.IntN(60)] {
				batch = append(batch, report(client, rnd.IntN(1000)))
			}
			what := rnd.IntN(len(done))
			switch done[what]++; what {
			case 0, 1, 2:
				if err := s.Write(batch); err != nil {
					t.Fatal(err)
				}
				for _, r := range batch {
					model[r.Client()] = r
				}
			case 3:
				want := 0
				for _, r := range batch {
					if held, known := model[r.Client()]; !known || r.Compare(held) > 0 {
						model[r.Client()] = r
						want++
					}
				}
				if got, err := s.Merge(batch); err != nil || got != want {
					t.Fatalf("seed %d, step %d: Merge returned %d, %v, want %d", seed, n, got, err, want)
				}
			case 4:
				limit, before := report(0, rnd.IntN(300)), len(model)
				old := func(r line.Report) bool { return limit.Later(r) }
				maps.DeleteFunc(model, func(_ line.ClientID, r line.Report) bool { return old(r) })
				if got, err := s.Forget(old); err != nil || got != before-len(model) {
					t.Fatalf("seed %d, step %d: Forget returned %d, %v, want %d", seed, n, got, err, before-len(model))
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
	if err := s.Write([]line.Report{report(2, 1), report(0, 1), report(1, 1)}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, string(r.Client())); len(got) == 2 {
			break
		}
	}
	if want := "client-000.example client-001.example"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestForgetMany forgets more than is looked through at a time.
func TestForgetMany(t *testing.T) {
	s := open(t, Config{Dir: "d", Herd: "herd", Node: "Goloman", FS: vfs.NewMem()})
	defer shut(t, s)
	var all []line.Report
	for i := range 3*chunk + 1 {
		r, err := line.ParseReport(fmt.Sprintf("Goloman +0.000000000 %d +1+1 %d", i, i%2))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if err := s.Write(all); err != nil {
		t.Fatal(err)
	}
	forgotten, err := s.Forget(func(r line.Report) bool { return r.Time() == "0" })
	if want := (3*chunk + 2) / 2; err != nil || forgotten != want {
		t.Errorf("forgot %d, %v, want %d", forgotten, err, want)
	}
	held, err := contents(s)
	if want := (3*chunk + 1) / 2; err != nil || len(held) != want {
		t.Errorf("%d are left, %v, want %d", len(held), err, want)
	}
}
