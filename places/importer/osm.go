package importer

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"herd/places"
	"herd/places/file"
	"herd/places/importer/pbf"
	"herd/places/osm"
)

var osmOrigin = file.Origin{Attribution: osm.Attribution, Licence: "ODbL 1.0, https://www.openstreetmap.org/copyright"}

// osmImport takes the places of an extract of OpenStreetMap.
//
// A node has a position and is taken at once. A way or a relation is where the middle of its bounding box is, for which the
// positions of its nodes are needed, which came before: they wait, until so many have come that the nodes they need reach a
// bound. Then the file is read again for those nodes, and the waiting ones are taken. A relation needs its ways first, and then
// their nodes. So the time grows with the number of ways and relations that are places, but memory does not.
//
// The objects have to be in the order of kinds and ids, as extracts are.
type osmImport struct {
	scan    pbf.Scan
	sink    *sink
	maxRefs int

	waiting []waiting
	nodes   []ref // that the waiting ones need
	ways    []ref // that waiting relations need

	kind  pbf.Kind // of the last object, and its id
	id    int64
	blob  int64                   // where the last object is
	began [pbf.Relation + 1]int64 // where the first object of a kind is, by kind
}

// waiting is an object whose position is not known yet.
type waiting struct {
	place   places.Place  // but for its location
	missing int           // nodes and ways that were not found yet
	nodes   bounds[int64] // those that were found, in billionths of a degree
}

const turn = 360 * 1e9 // billionths of a degree

// ref says that a waiting object needs a node or a way.
type ref struct {
	id  int64
	who int32 // in osmImport.waiting
}

// maxRefs is how many nodes or ways are looked for at a time, of 16 bytes each, and maxWaiting how many objects wait for them.
const (
	maxRefs    = 2 << 20
	maxWaiting = 128 << 10
)

func newOSM(in io.ReaderAt, size int64, s *sink) *osmImport {
	return &osmImport{scan: pbf.Scan{File: in, Size: size}, sink: s, maxRefs: maxRefs}
}

func (o *osmImport) run(ctx context.Context) error {
	scan := o.scan
	scan.Want = pbf.Node | pbf.Way | pbf.Relation
	err := scan.Each(ctx, func(object *pbf.Object) error {
		if object.Blob != o.blob {
			o.blob = object.Blob
			o.sink.progress(object.Blob)
		}
		again, err := o.inOrder(ctx, object)
		if err != nil {
			return err
		}
		return o.see(ctx, object, again)
	})
	if err != nil {
		return err
	}
	return o.settle(ctx)
}

// inOrder checks that an object follows the one before, or is another version of it.
func (o *osmImport) inOrder(ctx context.Context, next *pbf.Object) (again bool, err error) {
	order := cmp.Or(cmp.Compare(next.Kind, o.kind), cmp.Compare(next.ID, o.id))
	if order < 0 {
		return false, fmt.Errorf("%s %d comes after %s %d; bring it in order first, with 'osmium sort'", next.Kind, next.ID, o.kind, o.id)
	}
	if next.Kind != o.kind {
		if err := o.settle(ctx); err != nil { // relations wait for ways, so no way may wait then
			return false, err
		}
		o.began[next.Kind] = next.Blob
	}
	o.kind, o.id = next.Kind, next.ID
	return order == 0, nil
}

// see takes an object that is a place, or has it wait.
func (o *osmImport) see(ctx context.Context, object *pbf.Object, again bool) error {
	name, place := object.Tag("name"), slices.ContainsFunc(osm.Keys, func(key string) bool { return object.Tag(key) != nil })
	switch {
	case len(name) == 0 && !place:
		return nil
	case len(name) == 0:
		o.sink.skip(NoName)
		return nil
	}
	tags := make(map[string]string, len(object.Tags))
	for _, t := range object.Tags {
		tags[string(t.Key)] = string(t.Value)
	}
	p := places.Place{
		Name:     tags["name"],
		PlaceID:  object.Kind.String() + "/" + strconv.FormatInt(object.ID, 10),
		Types:    osm.Types(tags),
		Vicinity: osm.Vicinity(tags),
	}
	switch {
	case len(p.Types) == 0:
		o.sink.skip(NotPlace)
	case again:
		o.sink.skip(Twice)
	case object.Kind == pbf.Node:
		p.Geometry.Location = degrees(object.Lat, object.Lng)
		return o.sink.put(p)
	default:
		return o.wait(ctx, p, object)
	}
	return nil
}

// degrees returns the point at so many billionths of a degree, of which places keep seven digits.
func degrees(lat, lng int64) places.Point {
	round := func(v int64) float64 {
		if v < 0 {
			return -float64((-v+50)/100) / 1e7
		}
		return float64((v+50)/100) / 1e7
	}
	return places.Point{Lat: round(lat), Lng: round(lng)}
}

// wait has a way or a relation wait for its nodes.
func (o *osmImport) wait(ctx context.Context, p places.Place, object *pbf.Object) error {
	if len(o.waiting) == maxWaiting || len(o.nodes)+len(object.Nodes)+len(object.Members) > o.maxRefs || len(o.ways)+len(object.Members) > o.maxRefs {
		if err := o.settle(ctx); err != nil {
			return err
		}
	}
	who := int32(len(o.waiting))
	w := waiting{place: p, missing: len(object.Nodes)}
	for _, id := range object.Nodes {
		o.nodes = append(o.nodes, ref{id, who})
	}
	for _, m := range object.Members { // relations in relations do not count, as Overpass has it
		switch m.Kind {
		case pbf.Node:
			o.nodes = append(o.nodes, ref{m.ID, who})
			w.missing++
		case pbf.Way:
			o.ways = append(o.ways, ref{m.ID, who})
			w.missing++
		}
	}
	o.waiting = append(o.waiting, w)
	return nil
}

// settle finds the positions of all that wait, and takes them.
func (o *osmImport) settle(ctx context.Context) error {
	if err := o.findWays(ctx); err != nil {
		return err
	}
	if err := o.findNodes(ctx); err != nil {
		return err
	}
	for _, w := range o.waiting {
		if w.missing > 0 || !w.nodes.any {
			o.sink.skip(Incomplete)
			continue
		}
		w.place.Geometry.Location = degrees(w.nodes.middle(turn))
		if err := o.sink.put(w.place); err != nil {
			return err
		}
	}
	clear(o.waiting) // of what they refer to
	o.waiting = o.waiting[:0]
	return nil
}

// findWays has relations wait for the nodes of their ways instead of the ways, and finds those nodes when there are too many.
func (o *osmImport) findWays(ctx context.Context) error {
	return o.find(ctx, pbf.Way, &o.ways, func(way *pbf.Object, who int32) error {
		if len(o.nodes)+len(way.Nodes) > o.maxRefs {
			if err := o.findNodes(ctx); err != nil {
				return err
			}
		}
		o.waiting[who].missing += len(way.Nodes) - 1
		for _, id := range way.Nodes {
			o.nodes = append(o.nodes, ref{id, who})
		}
		return nil
	})
}

// findNodes extends the boxes of those who wait by the nodes that they need.
func (o *osmImport) findNodes(ctx context.Context) error {
	return o.find(ctx, pbf.Node, &o.nodes, func(node *pbf.Object, who int32) error {
		w := &o.waiting[who]
		w.nodes.add(node.Lat, node.Lng, turn)
		w.missing--
		return nil
	})
}

// find calls do for each of refs, a list that is empty then, whose object of that kind is in the file.
func (o *osmImport) find(ctx context.Context, kind pbf.Kind, refs *[]ref, do func(object *pbf.Object, who int32) error) error {
	if len(*refs) == 0 {
		return nil
	}
	o.sink.result.Passes++
	slices.SortFunc(*refs, func(a, b ref) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.who, b.who)) })
	left := *refs
	scan := o.scan
	scan.From, scan.To, scan.Want, scan.Bare = o.began[kind], o.blob, kind, true
	if kind == pbf.Node && o.began[pbf.Way] > 0 {
		scan.To = o.began[pbf.Way]
	}
	blob := int64(0)
	err := scan.Each(ctx, func(object *pbf.Object) error {
		if object.Blob != blob {
			blob = object.Blob
			o.sink.progress(o.blob)
		}
		for len(left) > 0 && left[0].id < object.ID {
			left = left[1:]
		}
		for len(left) > 0 && left[0].id == object.ID {
			if err := do(object, left[0].who); err != nil {
				return err
			}
			left = left[1:]
		}
		if len(left) == 0 {
			return pbf.ErrStop
		}
		return nil
	})
	*refs = (*refs)[:0]
	return err
}
