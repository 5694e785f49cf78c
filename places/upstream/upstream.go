// Package upstream asks providers of places over HTTP, and keeps them from being
// asked too much: it is what all of them have in common.
//
// A question (Find) may need several requests (Ask), one after the other, and each
// of them several attempts: one that failed is made again after a random time, if
// that may help and if the time left allows it. Before an attempt is made
//
//   - the time that the provider asked to be left alone (Retry-After) has to be over,
//   - its breaker has to let it pass,
//   - one of the few places in flight has to be free,
//   - the rate limit has to allow it.
//
// The first two fail at once, the others wait for half of the time that the context
// allows: with less for the answer, the provider would be asked in vain.
//
// No secret leaves the package: the URLs that errors of net/http print are left
// out, and the secret itself is replaced in every text, however it is escaped.
package upstream

import (
	"cmp"
	"context"
	"fmt"
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

// Config says whom a Client asks, and how much. Only Provider has to be set.
type Config struct {
	Provider  string            // as places.provider names it; every error and event has it
	Secret    string            // the API key, which appears in no error and no event
	Agent     string            // User-Agent of the requests; herd
	InFlight  int               // requests at a time; 16
	Rate      float64           // requests a second; not limited
	Attempts  int               // of a request, the first included; 4
	Budget    time.Duration     // for a question, unless its context has less; 30s
	Watch     places.Watch      // is told of calls, retries and turns of the breaker
	Transport http.RoundTripper // instead of the network
}

// Client asks one provider. It is safe for concurrent use.
type Client struct {
	config  Config
	http    http.Client
	slots   chan struct{} // one for each request in flight
	limit   *rate.Limiter
	breaker *gobreaker.CircuitBreaker[struct{}]
	secret  *regexp.Regexp // matches the secret in any spelling; nil without one
	jitter  func(most time.Duration) time.Duration

	mu      sync.Mutex
	failure *places.Error // the last that counted for the breaker
	alone   time.Time     // until when the provider wants to be left alone, and why
	because *places.Error
}

// New returns a Client. It holds no goroutine but those of its idle connections, until Close.
func New(c Config) *Client {
	c.Agent = cmp.Or(c.Agent, "herd")
	c.InFlight = cmp.Or(max(0, c.InFlight), 16)
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
	client.http = http.Client{Transport: c.Transport, CheckRedirect: client.stay}
	if c.Transport == nil {
		client.http.Transport = transport(c.InFlight)
	}
	client.breaker = client.newBreaker()
	return client
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Find answers q with what find, which may Ask several times, finds: the places in
// the circle that have a name, nearest first and at most q.Bound. A bound or radius
// of 0 asks nobody. An error is an *places.Error of one line that names the provider.
func (c *Client) Find(ctx context.Context, q places.Query, find func(context.Context) (places.Answer, error)) (places.Answer, error) {
	if q.Bound <= 0 || !(q.Radius > 0) {
		return places.Answer{Status: places.ZeroResults}, nil
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.config.Budget)
	defer cancel()
	a, err := c.find(ctx, q, find)
	if err != nil {
		e := c.explain(ctx, err, start)
		c.tell(places.Event{What: places.Call, Status: e.Status, Took: time.Since(start), Err: e})
		return places.Answer{}, e
	}
	c.tell(places.Event{What: places.Call, Status: a.Status, Took: time.Since(start)})
	return a, nil
}

func (c *Client) find(ctx context.Context, q places.Query, find func(context.Context) (places.Answer, error)) (places.Answer, error) {
	if !q.At.OnEarth() {
		return places.Answer{}, &places.Error{
			Status: places.InvalidRequest, Err: fmt.Errorf("no such point: latitude %v, longitude %v", q.At.Lat, q.At.Lng),
		}
	}
	if err := ctx.Err(); err != nil {
		return places.Answer{}, err
	}
	a, err := find(ctx)
	if err != nil {
		return places.Answer{}, err
	}
	a.Results = Nearest(a.Results, q)
	a.Status = places.OK
	if len(a.Results) == 0 {
		a.Status = places.ZeroResults
	}
	return a, nil
}

// Nearest returns those of all that have a name and lie in the circle of q, nearest
// first, those equally far as they came, and at most q.Bound.
func Nearest(all []places.Place, q places.Query) []places.Place {
	type candidate struct {
		distance float64
		place    int
	}
	near := make([]candidate, 0, len(all))
	for i := range all {
		if d := places.Distance(q.At, all[i].Geometry.Location); d <= q.Radius && all[i].Name != "" {
			near = append(near, candidate{d, i})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	results := make([]places.Place, min(len(near), max(0, q.Bound)))
	for i := range results {
		results[i] = all[near[i].place]
	}
	return results
}

// tell passes an event on.
func (c *Client) tell(e places.Event) {
	if c.config.Watch != nil {
		e.Provider = c.config.Provider
		c.config.Watch(e)
	}
}
