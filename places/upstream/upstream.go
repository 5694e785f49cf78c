// Package upstream is the HTTP client of all providers behind a network. It limits how much they are requested, and hides the API key.
//
// A query (Find) may need several requests (Do), one after the other, and each of them several attempts. Before an attempt
//
//   - the time of a Retry-After of the provider has to be over,
//   - the circuit breaker has to be closed,
//   - there has to be room among the requests in flight,
//   - the rate limit has to allow it.
//
// The first two fail at once; the others wait for half of the time that the context leaves.
//
// No secret leaves the package: the URLs in errors of net/http are removed, and the secret is replaced in every text, however it is
// escaped.
package upstream

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"herd/places"
)

// Config says how a Client behaves. Only Provider has to be set; the others have the defaults that their comments give.
type Config struct {
	Provider  string            // as places.provider names it; the prefix of every error
	Secret    string            // the API key, which appears in no error and no event
	InFlight  int               // greatest number of requests at a time; 16
	Rate      float64           // requests a second; 0: unlimited
	Attempts  int               // greatest number for a request; 4
	Budget    time.Duration     // for a query, unless its context has less; 30s
	Watch     places.Watch      // gets an event for each call, retry and change of the breaker
	Transport http.RoundTripper // nil: the network
}

// Client queries one provider. It is safe for concurrent use.
type Client struct {
	config  Config
	http    http.Client
	slots   chan struct{} // one element for each request in flight
	limit   *rate.Limiter
	breaker *gobreaker.CircuitBreaker[struct{}]
	secret  *regexp.Regexp                         // matches every spelling of the secret; nil without one
	jitter  func(most time.Duration) time.Duration // random, from 0 to most

	mu        sync.Mutex
	failure   *places.Error // the last one that the breaker counted
	heldUntil time.Time     // no request before; from a Retry-After
	heldBy    *places.Error // the failure that it came with
}

// New returns a Client. Its only goroutines are those of idle connections, until Close.
func New(c Config) *Client {
	c.InFlight = cmp.Or(c.InFlight, 16)
	c.Attempts = cmp.Or(c.Attempts, 4)
	c.Budget = cmp.Or(c.Budget, 30*time.Second)
	limit := rate.Inf
	if c.Rate > 0 {
		limit = rate.Limit(c.Rate)
	}
	client := &Client{
		config: c,
		slots:  make(chan struct{}, c.InFlight),
		limit:  rate.NewLimiter(limit, max(1, int(c.Rate))),
		secret: spellings(c.Secret),
		jitter: func(most time.Duration) time.Duration { return rand.N(most) },
	}
	client.http = http.Client{Transport: c.Transport, CheckRedirect: client.checkRedirect}
	if c.Transport == nil {
		client.http.Transport = transport(c.InFlight)
	}
	client.breaker = client.newBreaker()
	return client
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Find answers q with what find, which may call Do several times, finds: the places in the circle that have a name, nearest first and at
// most q.Bound. With a bound or radius of 0 the provider is not requested. An error is a *places.Error of one line that begins with the
// provider.
func (c *Client) Find(ctx context.Context, q places.Query, find func(context.Context) (places.Answer, error)) (places.Answer, error) {
	if q.Bound <= 0 || !(q.Radius > 0) {
		return places.Answer{Status: places.ZeroResults}, nil
	}
	start := time.Now()
	ctx, cancel := context.WithDeadline(ctx, start.Add(c.config.Budget))
	defer cancel()
	var a places.Answer
	err := cmp.Or(q.At.Check(), ctx.Err())
	if err == nil {
		a, err = find(ctx)
	}
	if err != nil {
		e := c.explain(ctx, err, start)
		c.emit(places.Event{Kind: places.Called, Status: e.Status, Took: time.Since(start), Err: e})
		return places.Answer{}, e
	}
	a.Results, a.Status = Nearest(a.Results, q), places.OK
	if len(a.Results) == 0 {
		a.Status = places.ZeroResults
	}
	c.emit(places.Event{Kind: places.Called, Status: a.Status, Took: time.Since(start)})
	return a, nil
}

// Nearest returns the places that have a name and lie in the circle of q, nearest first, equally distant ones in their order in all, and at
// most q.Bound.
func Nearest(all []places.Place, q places.Query) []places.Place {
	type candidate struct {
		distance float64
		index    int // in all
	}
	var nearest []candidate
	for i := range all {
		if d := places.Distance(q.At, all[i].Geometry.Location); d <= q.Radius && all[i].Name != "" {
			nearest = append(nearest, candidate{d, i})
		}
	}
	slices.SortStableFunc(nearest, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	results := make([]places.Place, min(len(nearest), max(0, q.Bound)))
	for i := range results {
		results[i] = all[nearest[i].index]
	}
	return results
}

// emit passes an event of this provider to Watch.
func (c *Client) emit(e places.Event) {
	if c.config.Watch != nil {
		e.Provider = c.config.Provider
		c.config.Watch(e)
	}
}
