package places

import (
	"context"
	"fmt"
	"time"
)

// Fallback returns a Finder that queries second, the provider called name, which has to be local and fast, when first, the provider called
// provider, fails. Its InfoMessages then say so and why.
// first may use nine tenths of the time until ctx is done; the rest is reserved for second.
func Fallback(provider string, first Finder, name string, second Finder, watch Watch) Finder {
	return finderFunc(func(ctx context.Context, q Query) (Answer, error) {
		limited, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			limited, cancel = context.WithTimeout(ctx, time.Until(deadline)*9/10)
		}
		defer cancel()
		a, err := first.Find(limited, q)
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil { // the caller has gone
			return Answer{}, err
		}
		watch(Event{Provider: provider, Kind: FellBack, Err: err})
		a, failed := second.Find(ctx, q)
		if failed != nil {
			return Answer{}, fmt.Errorf("%w; %w", err, failed)
		}
		a.InfoMessages = append([]string{fmt.Sprintf("%v; these are places of the %s", err, name)}, a.InfoMessages...)
		return a, nil
	})
}
