package index

import (
	"context"
	"fmt"

	"herd/places"
)

// Table is an immutable set of places with an index of their points.
type Table interface {
	Index() *Index
	Place(row int32) places.Place // as a result
	Attributions() []string       // to be shown with results
}

// Provider finds the places of a table that is loaded in the background. It implements places.Finder and searches without a lock.
type Provider[T Table] struct {
	name   string        // the prefix of errors
	loaded chan struct{} // closed when table and err are set
	table  T
	err    error
}

// Load starts to load a table in a goroutine, which ends by itself, and returns at once.
func Load[T Table](name string, load func() (T, error)) *Provider[T] {
	p := &Provider[T]{name: name, loaded: make(chan struct{})}
	go func() {
		defer close(p.loaded)
		if p.table, p.err = load(); p.err != nil {
			p.err = fmt.Errorf("%s: %w", name, p.err)
		}
	}()
	return p
}

// Wait returns when the table is loaded, with an error if that failed, or with ctx's error as soon as ctx is done. Unless it returned ctx's
// error, the goroutine that loads has ended.
func (p *Provider[T]) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	select {
	case <-p.loaded:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("%s: wait until it is loaded: %w", p.name, ctx.Err())
	}
}

// Find returns the places in the circle of q, nearest first and equally distant ones by id. It fails if the point of q is not on Earth, if
// the table cannot be loaded, or if ctx is done.
func (p *Provider[T]) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	if err := q.At.Check(); err != nil {
		return places.Answer{}, fmt.Errorf("%s: %w", p.name, err)
	}
	if err := p.Wait(ctx); err != nil {
		return places.Answer{}, err
	}
	a := places.Answer{HTMLAttributions: []string{}, Results: []places.Place{}, Status: places.ZeroResults}
	for _, h := range p.table.Index().Nearest(q.At, q.Radius, q.Bound, nil) {
		a.Results = append(a.Results, p.table.Place(h.Row))
	}
	if len(a.Results) > 0 {
		a.HTMLAttributions, a.Status = p.table.Attributions(), places.OK
	}
	return a, nil
}
