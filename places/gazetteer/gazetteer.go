// Package gazetteer is the provider of places that needs no key and no network:
// an embedded table of the world's populated places and airports and of some
// landmarks, from the sources that Attributions names.
//
// Open returns at once and loads the table in a goroutine of its own, which ends
// by itself; Find waits for it. The table is immutable, so that it is searched
// without a lock.
package gazetteer

import (
	"context"
	"fmt"
	"io/fs"

	"herd/places"
)

// Gazetteer finds places in the embedded table. It implements places.Finder.
type Gazetteer struct {
	loaded chan struct{} // closed once table and err are set
	table  *table        // immutable
	err    error         // why there is no table
}

// Open starts to load the embedded table and returns without waiting for it.
// One Gazetteer serves a whole process: each holds a table of its own.
func Open() *Gazetteer { return open(embedded) }

// open is Open with the files of data.
func open(data fs.FS) *Gazetteer {
	g := &Gazetteer{loaded: make(chan struct{})}
	go func() {
		defer close(g.loaded)
		g.table, g.err = load(data)
	}()
	return g
}

// Wait returns once the table is loaded, with an error if its data are broken,
// or with ctx's error once ctx is done. Unless it returned ctx's error, the
// goroutine that loads has ended.
func (g *Gazetteer) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gazetteer: %w", err)
	}
	select {
	case <-g.loaded:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("gazetteer: wait for the table to be loaded: %w", ctx.Err())
	}
}

// shown is what goes with every place.
var shown = []string{geoNames.Text}

// Find returns the places in the circle of q, nearest first and those equally far
// by id. It fails if the point of q is not on Earth, if the embedded data are
// broken, or if ctx is done.
func (g *Gazetteer) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	if !q.At.OnEarth() {
		err := fmt.Errorf("gazetteer: no such point: latitude %v, longitude %v", q.At.Lat, q.At.Lng)
		return places.Answer{}, &places.Error{Status: places.InvalidRequest, Err: err}
	}
	if err := g.Wait(ctx); err != nil {
		return places.Answer{}, err
	}
	hits := g.table.index.Nearest(q.At, q.Radius, q.Bound, nil)
	if len(hits) == 0 {
		return places.Answer{HTMLAttributions: []string{}, Results: []places.Place{}, Status: places.ZeroResults}, nil
	}
	a := places.Answer{HTMLAttributions: shown, Results: make([]places.Place, len(hits)), Status: places.OK}
	for i, h := range hits {
		a.Results[i] = g.table.place(h.Row)
	}
	return a, nil
}
