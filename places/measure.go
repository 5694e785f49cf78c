package places

import (
	"context"
	"time"
)

// Measure returns a Finder that tells watch of every question to f, and how it ended.
func Measure(provider string, f Finder, watch Watch) Finder { return &measure{provider, f, watch} }

type measure struct {
	provider string
	finder   Finder
	watch    Watch
}

func (m *measure) Find(ctx context.Context, q Query) (Answer, error) {
	began := time.Now()
	a, err := m.finder.Find(ctx, q)
	e := Event{Provider: m.provider, What: Call, Status: OK, Took: time.Since(began), Err: err}
	switch {
	case err != nil:
		e.Status = failure(err).Status
	case len(a.Results) == 0:
		e.Status = ZeroResults
	}
	m.watch(e)
	return a, err
}
