package pbf_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"herd/places/importer/pbf"
	"herd/places/importer/pbf/pbftest"
)

const all = pbf.Node | pbf.Way | pbf.Relation

// read returns copies of the objects in a file.
func read(t testing.TB, data []byte, want pbf.Kind, bare bool) ([]pbf.Object, error) {
	t.Helper()
	var objects []pbf.Object
	s := pbf.Scan{File: bytes.NewReader(data), Size: int64(len(data)), Want: want, Bare: bare}
	err := s.Each(t.Context(), func(o *pbf.Object) error {
		c := *o
		c.Nodes, c.Members, c.Tags = append([]int64(nil), o.Nodes...), append([]pbf.Member(nil), o.Members...), nil
		for _, tag := range o.Tags {
			c.Tags = append(c.Tags, pbf.Tag{Key: bytes.Clone(tag.Key), Value: bytes.Clone(tag.Value)})
		}
		objects = append(objects, c)
		return nil
	})
	return objects, err
}

func tags(pairs ...string) []pbf.Tag {
	var all []pbf.Tag
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, pbf.Tag{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return all
}

// sample has each kind of object, and numbers at their limits.
var sample = [][]pbf.Object{
	{
		{Kind: pbf.Node, ID: -3, Lat: -90e9, Lng: 180e9},
		{Kind: pbf.Node, ID: 5, Lat: 42_508_042_600, Lng: -1_524_370_700, Tags: tags("name", "Пушкинъ 東京 🏔 e\u0301", "amenity", "bar")},
		{Kind: pbf.Node, ID: math.MaxInt64 / 2, Tags: tags("name", "", "x", "y")},
	},
	{
		{Kind: pbf.Way, ID: 1, Nodes: []int64{5, -3, 5}, Tags: tags("name", "W")},
		{Kind: pbf.Way, ID: 2},
	},
	{{Kind: pbf.Relation, ID: 1, Members: []pbf.Member{{Kind: pbf.Way, ID: 1}, {Kind: pbf.Node, ID: -3}, {Kind: pbf.Relation, ID: 7}}, Tags: tags("type", "site")}},
}

func file(sample [][]pbf.Object, set func(*pbftest.Writer)) []byte {
	var out bytes.Buffer
	w := pbftest.New(&out, "OsmSchema-V0.6", "DenseNodes")
	set(w)
	for _, objects := range sample {
		w.Block(objects...)
	}
	return out.Bytes()
}

// What is written is read back, in every form.
func TestRoundTrip(t *testing.T) {
	for name, set := range map[string]func(*pbftest.Writer){
		"dense": func(*pbftest.Writer) {}, "plain": func(w *pbftest.Writer) { w.Plain = true }, "raw": func(w *pbftest.Writer) { w.Raw = true },
	} {
		data := file(sample, set)
		got, err := read(t, data, all, false)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var want []pbf.Object
		for _, objects := range sample {
			want = append(want, objects...)
		}
		blobs := make(map[int64]bool)
		for i := range got {
			blobs[got[i].Blob] = true
			got[i].Blob = 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v\nwant %+v", name, got, want)
		}
		if len(blobs) != len(sample) {
			t.Errorf("%s: %d blobs, want %d", name, len(blobs), len(sample))
		}
	}
}

// A scan reads the wanted kinds in the wanted range of blobs.
func TestScan(t *testing.T) {
	data := file(sample, func(*pbftest.Writer) {})
	ways, err := read(t, data, pbf.Way, true)
	if err != nil || len(ways) != 2 || ways[0].Tags != nil || len(ways[0].Nodes) != 3 {
		t.Fatalf("%+v, %v", ways, err)
	}
	nodes, err := read(t, data, pbf.Node, true)
	if err != nil || len(nodes) != 3 || nodes[1].Tags != nil || nodes[1].Lat != 42_508_042_600 {
		t.Fatalf("%+v, %v", nodes, err)
	}
	count := func(s pbf.Scan, stop int) (n int) {
		s.File, s.Size = bytes.NewReader(data), int64(len(data))
		err := s.Each(t.Context(), func(*pbf.Object) error {
			if n++; n == stop {
				return pbf.ErrStop
			}
			return nil
		})
		if err != nil {
			t.Errorf("%+v: %v", s, err)
		}
		return n
	}
	from := ways[0].Blob
	for _, c := range []struct {
		scan       pbf.Scan
		stop, want int
	}{
		{pbf.Scan{Want: all}, 0, 6},
		{pbf.Scan{Want: all}, 4, 4},
		{pbf.Scan{Want: all, From: from}, 0, 3},
		{pbf.Scan{Want: all, To: from}, 0, 5},
		{pbf.Scan{Want: all, From: from, To: from}, 0, 2},
		{pbf.Scan{Want: pbf.Node, From: from}, 0, 0},
	} {
		if n := count(c.scan, c.stop); n != c.want {
			t.Errorf("%+v until %d: %d objects, want %d", c.scan, c.stop, n, c.want)
		}
	}
}

// The counts of the fixture are those of another reader.
func TestFixture(t *testing.T) {
	data, err := os.ReadFile("../testdata/andorra-poi.osm.pbf")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := read(t, data, all, false)
	if err != nil {
		t.Fatal(err)
	}
	count, named := make(map[pbf.Kind]int), make(map[pbf.Kind]int)
	refs := 0
	for _, o := range objects {
		count[o.Kind]++
		refs += len(o.Nodes)
		if len(o.Tag("name")) > 0 {
			named[o.Kind]++
		}
	}
	if want := (map[pbf.Kind]int{pbf.Node: 8971, pbf.Way: 582, pbf.Relation: 10}); !reflect.DeepEqual(count, want) || refs != 8527 {
		t.Errorf("%v with %d nodes of ways, want %v with 8527", count, refs, want)
	}
	if want := (map[pbf.Kind]int{pbf.Node: 891, pbf.Way: 227, pbf.Relation: 8}); !reflect.DeepEqual(named, want) {
		t.Errorf("%v with a name, want %v", named, want)
	}
}

func TestZstd(t *testing.T) {
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	w := pbftest.New(&block)
	w.Raw = true
	begin := block.Len()
	w.Block(sample[0]...)
	blob := block.Bytes()[begin:]
	_, raw, _ := bytes.Cut(blob, []byte("OSMData"))
	raw = raw[bytes.IndexByte(raw, 0x0a):] // the blob's first field: number 1
	data := raw[2:]
	if raw[1] >= 0x80 {
		data = raw[3:]
	}
	var out bytes.Buffer
	w = pbftest.New(&out)
	w.Framed("OSMData", pbftest.Bytes(pbftest.Number(nil, 2, uint64(len(data))), 7, packer.EncodeAll(data, nil)))
	if objects, err := read(t, out.Bytes(), all, false); err != nil || len(objects) != 3 {
		t.Errorf("%d objects, %v, want 3", len(objects), err)
	}
}

// Errors name the place of the fault.
func TestFaults(t *testing.T) {
	whole := file(sample, func(*pbftest.Writer) {})
	made := func(make func(w *pbftest.Writer)) []byte {
		var out bytes.Buffer
		make(pbftest.New(&out))
		return out.Bytes()
	}
	block := func(fields ...[]byte) []byte {
		return made(func(w *pbftest.Writer) { w.Blob("OSMData", bytes.Join(fields, nil)) })
	}
	group := func(number int, message []byte) []byte {
		return pbftest.Bytes(nil, 2, pbftest.Bytes(nil, number, message))
	}
	texts := pbftest.Bytes(nil, 1, pbftest.Bytes(pbftest.Bytes(nil, 1, nil), 1, []byte("name")))
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"cut off in a blob", whole[:len(whole)-1], "the file is cut off"},
		{"cut off in a length", whole[:2], "no file of OpenStreetMap in PBF"},
		{"text", []byte("name,lat,lon\nA,1,2\n"), "no file of OpenStreetMap in PBF, or not its beginning"},
		{"no header", whole[bytes.Index(whole, []byte("OSMData"))-6:], "no file of OpenStreetMap in PBF"},
		{"history", func() []byte {
			var out bytes.Buffer
			pbftest.New(&out, "OsmSchema-V0.6", "HistoricalInformation")
			return out.Bytes()
		}(), `needs a reader that knows "HistoricalInformation"`},
		{"huge header", append(bytes.Clone(whole), 1, 0, 0, 0), "the header of a blob has 16777216 bytes, more than 65536"},
		{"huge blob", append(append(bytes.Clone(whole), 0, 0, 0, 16), pbftest.Number(pbftest.Bytes(nil, 1, []byte("OSMData")), 3, 1<<40)...), "more than 33554432"},
		{"huge when uncompressed", made(func(w *pbftest.Writer) { w.Framed("OSMData", pbftest.Bytes(pbftest.Number(nil, 2, 1<<31), 3, nil)) }), "uncompressed, more than"},
		{"more than it says", made(func(w *pbftest.Writer) {
			var bomb bytes.Buffer
			z := pbftest.New(&bomb)
			z.Blob("OSMData", make([]byte, 1<<20))
			packed := bomb.Bytes()[bytes.LastIndex(bomb.Bytes(), []byte{0x78, 0x9c}):]
			w.Framed("OSMData", pbftest.Bytes(pbftest.Number(nil, 2, 9), 3, packed))
		}), "not the 9 bytes that it says"},
		{"no compression known", made(func(w *pbftest.Writer) { w.Framed("OSMData", pbftest.Bytes(nil, 6, []byte("lz4"))) }), "neither by zlib nor by zstd"},
		{"broken compression", made(func(w *pbftest.Writer) {
			w.Framed("OSMData", pbftest.Bytes(pbftest.Number(nil, 2, 9), 3, []byte("junk")))
		}), "uncompress a blob"},
		{"text out of the table", block(texts, group(3, pbftest.Bytes(pbftest.Bytes(nil, 2, []byte{1}), 3, []byte{2}))), "not in the table of texts"},
		{"key out of the table", block(texts, group(3, pbftest.Bytes(pbftest.Bytes(nil, 2, []byte{2}), 3, []byte{1}))), "not in the table of texts"},
		{"key without a value", block(texts, group(3, pbftest.Bytes(nil, 2, []byte{1}))), "differ in length"},
		{"dense key without a value", block(texts, group(2, pbftest.Bytes(pbftest.Bytes(pbftest.Bytes(pbftest.Bytes(nil, 1, []byte{2}), 8, []byte{2}), 9, []byte{2}), 10, []byte{1}))), "differ in length"},
		{"id without a latitude", block(texts, group(2, pbftest.Bytes(pbftest.Bytes(nil, 1, []byte{2}), 9, []byte{2}))), "differ in length"},
		{"member without a kind", block(texts, group(4, pbftest.Bytes(nil, 9, []byte{2}))), "differ in length"},
		{"member of no kind", block(texts, group(4, pbftest.Bytes(pbftest.Bytes(nil, 9, []byte{2}), 10, []byte{3}))), "differ in length"},
		{"endless number", block(texts, group(3, pbftest.Bytes(nil, 8, bytes.Repeat([]byte{0xff}, 11)))), "not a protocol buffer"},
		{"longer than its message", block([]byte{0x12, 0x7f, 0}), "not a protocol buffer"},
		{"many nodes", block(texts, group(3, pbftest.Bytes(nil, 8, make([]byte, 1<<20+1)))), "way 0 has more than 1048576 nodes"},
		{"many members", block(texts, group(4, pbftest.Bytes(pbftest.Bytes(nil, 9, make([]byte, 1<<20+1)), 10, make([]byte, 1<<20+1)))), "relation 0 has more than 1048576 members"},
		{"many tags", block(texts, group(3, pbftest.Bytes(pbftest.Bytes(nil, 2, make([]byte, 1<<16+1)), 3, make([]byte, 1<<16+1)))), "more than 65536 tags"},
		{"many texts", block(pbftest.Bytes(nil, 1, bytes.Repeat([]byte{0x0a, 0}, 1<<20+1))), "more than 1048576 texts"},
	} {
		if _, err := read(t, c.data, all, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// An error of the io.Reader is returned, and a scan ends when its context is done.
func TestEnds(t *testing.T) {
	data := file(sample, func(*pbftest.Writer) {})
	s := pbf.Scan{File: bytes.NewReader(data), Size: int64(len(data)), Want: all}
	if err := s.Each(t.Context(), func(*pbf.Object) error { return io.ErrClosedPipe }); !errors.Is(err, io.ErrClosedPipe) || err.Error() != io.ErrClosedPipe.Error() {
		t.Errorf("%v, want the error as it is", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := s.Each(ctx, func(*pbf.Object) error { n++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n != 3 {
		t.Errorf("%v after %d objects, want to end after the blob", err, n)
	}
}

// Reading any bytes as a file or as a blob ends with objects or an error, and without tags it ends the same way.
func FuzzScan(f *testing.F) {
	for _, set := range []func(*pbftest.Writer){
		func(*pbftest.Writer) {}, func(w *pbftest.Writer) { w.Raw = true }, func(w *pbftest.Writer) { w.Raw, w.Plain = true, true },
	} {
		f.Add(file(sample, set), false)
		for _, objects := range sample {
			var out bytes.Buffer
			w := pbftest.New(&out)
			set(w)
			begin := out.Len()
			w.Block(objects...)
			f.Add(out.Bytes()[begin+20:], true)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, inside bool) {
		if len(data) > 16<<10 {
			return
		}
		if inside {
			var out bytes.Buffer
			w := pbftest.New(&out)
			w.Raw = true
			w.Blob("OSMData", data)
			data = out.Bytes()
		}
		objects, err := read(t, data, all, false)
		bare, bareErr := read(t, data, all, true)
		if err == nil && (bareErr != nil || len(bare) != len(objects)) {
			t.Errorf("%d objects, but %d without tags and %v", len(objects), len(bare), bareErr)
		}
	})
}

// A block's granularity and offsets hold for its own coordinates, and the next block has the defaults again: 100 and 0.
func TestCoordinates(t *testing.T) {
	const zigzag2, zigzagMinus3 = 4, 5
	node := pbftest.Number(pbftest.Number(pbftest.Number(nil, 1, 2), 8, zigzag2), 9, zigzagMinus3)
	group := pbftest.Bytes(nil, 2, pbftest.Bytes(nil, 1, node))
	var data bytes.Buffer
	w := pbftest.New(&data)
	w.Blob("OSMData", pbftest.Number(pbftest.Number(pbftest.Number(group, 17, 1000), 19, 70), 20, 1<<64-5))
	w.Blob("OSMData", group)
	objects, err := read(t, data.Bytes(), all, false)
	if err != nil || len(objects) != 2 {
		t.Fatalf("%+v, %v", objects, err)
	}
	for i, want := range [][2]int64{{2*1000 + 70, -3*1000 - 5}, {200, -300}} {
		if got := [2]int64{objects[i].Lat, objects[i].Lng}; got != want {
			t.Errorf("block %d: %v, want %v", i, got, want)
		}
	}
}
