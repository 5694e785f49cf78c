//go:build !race

package importer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"herd/places/file"
	"herd/places/importer/pbf"
	"herd/places/importer/pbf/pbftest"
)

// synthetic writes an extract with so many nodes: every twentieth is a place, and each ten are a way that is one, and each
// ten ways a relation.
func synthetic(t testing.TB, nodes int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "synthetic.osm.pbf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pbftest.New(f)
	const perBlock = 8000
	emit := func(count int, object func(i int) pbf.Object) {
		for from := 0; from < count; from += perBlock {
			var block []pbf.Object
			for i := from; i < min(from+perBlock, count); i++ {
				block = append(block, object(i))
			}
			w.Block(block...)
		}
	}
	emit(nodes, func(i int) pbf.Object {
		n := node(int64(i), 40+float64(i%1000)/100, float64(i/1000%1000)/100)
		if i%20 == 0 {
			n.Tags = tags("amenity", "bar", "name", fmt.Sprintf("Bar %d", i))
		}
		return n
	})
	emit(nodes/10, func(i int) pbf.Object {
		o := pbf.Object{Kind: pbf.Way, ID: int64(i), Tags: tags("leisure", "park", "name", fmt.Sprintf("Park %d", i))}
		for j := range 10 {
			o.Nodes = append(o.Nodes, int64((i*7919+j*104729)%nodes)) // anywhere
		}
		return o
	})
	emit(nodes/100, func(i int) pbf.Object {
		o := pbf.Object{Kind: pbf.Relation, ID: int64(i), Tags: tags("leisure", "park", "name", fmt.Sprintf("Parks %d", i))}
		for j := range 10 {
			o.Members = append(o.Members, pbf.Member{Kind: pbf.Way, ID: int64(i*10 + j)})
		}
		return o
	})
	if err := errors.Join(w.Err(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// peak imports an extract and returns the greatest heap size in bytes.
func peak(t testing.TB, path string, refs int) (heap uint64, r Result) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	w, err := file.NewWriter(io.Discard, osmOrigin)
	if err != nil {
		t.Fatal(err)
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	pass := 0
	s := newSink(w, &input{format: OSM, size: info.Size()}, Config{Progress: func(done Progress) {
		if pass == done.Passes { // a pass begins when the limit of pending places is reached
			return
		}
		pass = done.Passes
		runtime.GC()
		runtime.ReadMemStats(&now)
		heap = max(heap, now.HeapAlloc)
	}})
	o := newOSM(f, info.Size(), s)
	o.maxRefs = refs
	if err := errors.Join(o.run(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	return heap - before.HeapAlloc, s.result
}

// A file ten times the size takes no more memory, though it needs many more nodes than are held at a time.
func TestMemory(t *testing.T) {
	const refs = 20_000
	small, one := peak(t, synthetic(t, 50_000), refs)
	large, ten := peak(t, synthetic(t, 500_000), refs)
	t.Logf("%d places with %.1f MB in %d passes, %d places with %.1f MB in %d passes",
		one.Places, float64(small)/1e6, one.Passes, ten.Places, float64(large)/1e6, ten.Passes)
	if one.Places != 8_000 || ten.Places != 80_000 || one.Passes < 5 || ten.Passes < 50 {
		t.Errorf("%+v and %+v: not what was to be seen", one, ten)
	}
	if large > small+small/4 {
		t.Errorf("%d bytes, and %d bytes of a file ten times the size", small, large)
	}
}

// BenchmarkOSM imports an extract of a million nodes with 160,000 places.
func BenchmarkOSM(b *testing.B) {
	path := synthetic(b, 1_000_000)
	out := filepath.Join(b.TempDir(), "places.tsv.zst")
	taken := 0
	for b.Loop() {
		r, err := Import(b.Context(), Config{Input: path, Output: out})
		if err != nil {
			b.Fatal(err)
		}
		taken += r.Places
	}
	b.ReportMetric(float64(taken)/b.Elapsed().Seconds(), "places/s")
}
