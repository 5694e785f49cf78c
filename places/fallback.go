package places

import (
	"context"
	"fmt"
	"time"
)

// reserve is the part of the time for an answer that is kept for the second Finder: a tenth.
const reserve = 10

// Fallback returns a Finder that asks second, which is near and quick, when first fails. The answer then says so in InfoMessages, with
// the cause. first has nine tenths of the time that there is.
func Fallback(provider string, first Finder, name string, second Finder, watch Watch) Finder {
	return &fallback{provider, first, name, second, watch}
}

type fallback struct {
	provider string
	first    Finder
	name     string
	second   Finder
	watch    Watch
}

func (f *fallback) Find(ctx context.Context, q Query) (Answer, error) {
	first, cancel := ctx, context.CancelFunc(func() {})
	if deadline, limited := ctx.Deadline(); limited {
		first, cancel = context.WithTimeout(ctx, time.Until(deadline)*(reserve-1)/reserve)
	}
	defer cancel()
	a, err := f.first.Find(first, q)
	if err == nil {
		return a, nil
	}
	if ctx.Err() != nil { // nobody waits for an answer
		return Answer{}, err
	}
	f.watch(Event{Provider: f.provider, What: Fall, Err: err})
	a, second := f.second.Find(ctx, q)
	if second != nil {
		return Answer{}, fmt.Errorf("%w; %w", err, second)
	}
	a.InfoMessages = append([]string{fmt.Sprintf("%v; these are places of the %s", err, f.name)}, a.InfoMessages...)
	return a, nil
}
