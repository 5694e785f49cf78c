package places

import (
	"context"
	"fmt"
	"time"
)

// Fallback returns a Finder that queries second, which has to be local and fast, when first fails. Its InfoMessages then say so and why.
// first may use nine tenths of the time until ctx is done; the rest is reserved for second.
func Fallback(provider string, first Finder, name string, second Finder, watch Watch) Finder {
	return &fallback{provider, first, name, second, watch}
}

type fallback struct {
	provider string // of first
	first    Finder
	name     string // of second
	second   Finder
	watch    Watch
}

func (f *fallback) Find(ctx context.Context, q Query) (Answer, error) {
	first, cancel := ctx, context.CancelFunc(func() {})
	if deadline, limited := ctx.Deadline(); limited {
		first, cancel = context.WithTimeout(ctx, time.Until(deadline)*9/10)
	}
	defer cancel()
	a, err := f.first.Find(first, q)
	if err == nil {
		return a, nil
	}
	if ctx.Err() != nil { // the caller has gone
		return Answer{}, err
	}
	f.watch(Event{Provider: f.provider, Kind: FellBack, Err: err})
	a, second := f.second.Find(ctx, q)
	if second != nil {
		return Answer{}, fmt.Errorf("%w; %w", err, second)
	}
	a.InfoMessages = append([]string{fmt.Sprintf("%v; these are places of the %s", err, f.name)}, a.InfoMessages...)
	return a, nil
}
