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

// osmImport writes the places of an extract of OpenStreetMap, whose objects have to be sorted by kind and id, as extracts are.
//
// A node that is a place is written at once. The position of a way or a relation is the middle of the box around its nodes, which came
// before it in the file: so ways and relations are pending until the nodes that they need reach a limit. Then the file is read again for
// those nodes, and the pending places are written. Of a relation, its ways are read first, and then their nodes. So time grows with the
// number of ways and relations that are places, but memory does not.
type osmImport struct {
	scan    pbf.Scan
	sink    *sink
	maxRefs int // greatest length of nodes and of ways

	pending []pending
	nodes   []ref // that pending needs
	ways    []ref // that relations in pending need

	kind  pbf.Kind                // of the last object
	id    int64                   // of the last object
	blob  int64                   // offset of the last object's blob
	first [pbf.Relation + 1]int64 // offset of the first blob with objects of a kind, by kind; 0 if there was none
}

// pending is a place whose position is not known yet.
type pending struct {
	place   places.Place  // without its location
	missing int           // number of nodes and ways that were not read yet
	nodes   bounds[int64] // the box around those that were, in billionths of a degree
}

const turn = 360 * 1e9 // billionths of a degree

// ref says that a pending place needs a node or a way.
type ref struct {
	id    int64 // of the node or way
	index int32 // of the place in osmImport.pending
}

const (
	maxRefs    = 2 << 20   // of osmImport.maxRefs; 16 bytes each
	maxPending = 128 << 10 // greatest length of osmImport.pending
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
			o.sink.report(object.Blob)
		}
		repeated, err := o.inOrder(ctx, object)
		if err != nil {
			return err
		}
		return o.add(ctx, object, repeated)
	})
	if err != nil {
		return err
	}
	return o.resolve(ctx)
}

// inOrder returns an error if an object may not follow the last one, and whether it is another version of that.
func (o *osmImport) inOrder(ctx context.Context, next *pbf.Object) (repeated bool, err error) {
	order := cmp.Or(cmp.Compare(next.Kind, o.kind), cmp.Compare(next.ID, o.id))
	if order < 0 {
		return false, fmt.Errorf("%s %d comes after %s %d; bring it in order first, with 'osmium sort'", next.Kind, next.ID, o.kind, o.id)
	}
	if next.Kind != o.kind {
		if err := o.resolve(ctx); err != nil { // no way may be pending when the first relation, which needs ways, is
			return false, err
		}
		o.first[next.Kind] = next.Blob
	}
	o.kind, o.id = next.Kind, next.ID
	return order == 0, nil
}

// add writes an object that is a place, or makes it pending.
func (o *osmImport) add(ctx context.Context, object *pbf.Object, repeated bool) error {
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
	case repeated:
		o.sink.skip(Twice)
	case object.Kind == pbf.Node:
		p.Geometry.Location = degrees(object.Lat, object.Lng)
		return o.sink.add(p)
	default:
		return o.postpone(ctx, p, object)
	}
	return nil
}

// degrees returns the point at so many billionths of a degree, rounded to the seven digits that files have.
func degrees(lat, lng int64) places.Point {
	round := func(v int64) float64 {
		if v < 0 {
			return -float64((-v+50)/100) / 1e7
		}
		return float64((v+50)/100) / 1e7
	}
	return places.Point{Lat: round(lat), Lng: round(lng)}
}

// postpone makes a way or a relation pending.
func (o *osmImport) postpone(ctx context.Context, p places.Place, object *pbf.Object) error {
	needs := len(object.Nodes) + len(object.Members)
	if len(o.pending) == maxPending || len(o.nodes)+needs > o.maxRefs || len(o.ways)+needs > o.maxRefs {
		if err := o.resolve(ctx); err != nil {
			return err
		}
	}
	index := int32(len(o.pending))
	w := pending{place: p, missing: len(object.Nodes)}
	for _, id := range object.Nodes {
		o.nodes = append(o.nodes, ref{id, index})
	}
	for _, m := range object.Members { // relations in relations are ignored, as Overpass does
		switch m.Kind {
		case pbf.Node:
			o.nodes = append(o.nodes, ref{m.ID, index})
			w.missing++
		case pbf.Way:
			o.ways = append(o.ways, ref{m.ID, index})
			w.missing++
		}
	}
	o.pending = append(o.pending, w)
	return nil
}

// resolve finds the positions of the pending places and writes them.
func (o *osmImport) resolve(ctx context.Context) error {
	if err := o.findWays(ctx); err != nil {
		return err
	}
	if err := o.findNodes(ctx); err != nil {
		return err
	}
	for _, w := range o.pending {
		if w.missing > 0 || !w.nodes.any {
			o.sink.skip(Incomplete)
			continue
		}
		w.place.Geometry.Location = degrees(w.nodes.middle(turn))
		if err := o.sink.add(w.place); err != nil {
			return err
		}
	}
	clear(o.pending) // so that their texts can be freed
	o.pending = o.pending[:0]
	return nil
}

// findWays replaces the ways that pending relations need by the nodes of these ways, and finds those nodes when there are too many.
func (o *osmImport) findWays(ctx context.Context) error {
	return o.find(ctx, pbf.Way, &o.ways, func(way *pbf.Object, index int32) error {
		if len(o.nodes)+len(way.Nodes) > o.maxRefs {
			if err := o.findNodes(ctx); err != nil {
				return err
			}
		}
		o.pending[index].missing += len(way.Nodes) - 1
		for _, id := range way.Nodes {
			o.nodes = append(o.nodes, ref{id, index})
		}
		return nil
	})
}

// findNodes extends the boxes of the pending places by the nodes that they need.
func (o *osmImport) findNodes(ctx context.Context) error {
	return o.find(ctx, pbf.Node, &o.nodes, func(node *pbf.Object, index int32) error {
		w := &o.pending[index]
		w.nodes.add(node.Lat, node.Lng, turn)
		w.missing--
		return nil
	})
}

// find calls do for each of refs whose object, of that kind, is in the file, and empties the list.
func (o *osmImport) find(ctx context.Context, kind pbf.Kind, refs *[]ref, do func(object *pbf.Object, index int32) error) error {
	if len(*refs) == 0 {
		return nil
	}
	o.sink.result.Passes++
	slices.SortFunc(*refs, func(a, b ref) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.index, b.index)) })
	left := *refs
	scan := o.scan
	scan.From, scan.To, scan.Want, scan.Bare = o.first[kind], o.blob, kind, true
	if kind == pbf.Node && o.first[pbf.Way] > 0 {
		scan.To = o.first[pbf.Way]
	}
	blob := int64(0)
	err := scan.Each(ctx, func(object *pbf.Object) error {
		if object.Blob != blob {
			blob = object.Blob
			o.sink.report(o.blob)
		}
		for len(left) > 0 && left[0].id < object.ID {
			left = left[1:]
		}
		for len(left) > 0 && left[0].id == object.ID {
			if err := do(object, left[0].index); err != nil {
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

// bounds is the box around points. The unit of the coordinates is the caller's.
type bounds[T int64 | float64] struct {
	any            bool // there is at least one point
	minLat, maxLat T
	minLng, maxLng T
	minFar, maxFar T // of the longitudes, if 360° is added to negative ones: for what lies across the antimeridian
}

// add extends b by a point. turn is 360° in the unit of the coordinates.
func (b *bounds[T]) add(lat, lng, turn T) {
	far := lng
	if far < 0 {
		far += turn
	}
	b.join(bounds[T]{true, lat, lat, lng, lng, far, far})
}

// join extends b by o.
func (b *bounds[T]) join(o bounds[T]) {
	switch {
	case !o.any:
	case !b.any:
		*b = o
	default:
		b.minLat, b.maxLat = min(b.minLat, o.minLat), max(b.maxLat, o.maxLat)
		b.minLng, b.maxLng = min(b.minLng, o.minLng), max(b.maxLng, o.maxLng)
		b.minFar, b.maxFar = min(b.minFar, o.minFar), max(b.maxFar, o.maxFar)
	}
}

// middle returns the middle of the box, or of the box across the antimeridian if that is narrower, and narrower than half the world: the
// middle of an island there is not in Africa.
func (b *bounds[T]) middle(turn T) (lat, lng T) {
	lat = b.minLat + (b.maxLat-b.minLat)/2
	if far := b.maxFar - b.minFar; far >= b.maxLng-b.minLng || far >= turn/2 {
		return lat, b.minLng + (b.maxLng-b.minLng)/2
	}
	lng = b.minFar + (b.maxFar-b.minFar)/2
	if lng > turn/2 {
		lng -= turn
	}
	return lat, lng
}
