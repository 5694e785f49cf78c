package places

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// A cache holds at most CacheSize answers, each for CacheTTL. The texts of a place are bounded, so that an answer takes at most 100 KB;
// most take 5.
const (
	CacheSize = 4096
	CacheTTL  = time.Hour
)

const (
	gridPerDegree = 1e4 // 0.0001° is at most 11 m
	minCached     = 0.1 // km, the smallest radius of a cached query, next to which the grid is fine enough
)

// Cache returns a Finder that caches f's answers. Queries with equal radius and bound whose points lie in the same cell of a grid, so
// within 8 m of its centre, share an answer: f is queried at the centre, and the results are sorted by their distance from the point of
// each query. So a place within 8 m of the edge of the circle may be missing, and so may one that is hardly nearer than the last within
// the bound. Queries with a radius below 100 m and failures are not cached.
//
// It may be used only for providers whose terms allow caching.
func Cache(provider string, f Finder, watch Watch) Finder {
	answers, err := lru.New[Query, cached](CacheSize)
	if err != nil {
		panic(err) // only if the size is not positive
	}
	return &cache{provider: provider, finder: f, watch: watch, answers: answers}
}

type cache struct {
	provider string
	finder   Finder
	watch    Watch
	answers  *lru.Cache[Query, cached] // by the query at the centre of the cell
}

type cached struct {
	answer  Answer // immutable: concurrent hits share it
	expires time.Time
}

func (c *cache) Find(ctx context.Context, q Query) (Answer, error) {
	if q.Radius < minCached {
		return c.finder.Find(ctx, q)
	}
	central := q
	central.At = Point{Lat: math.Round(q.At.Lat*gridPerDegree) / gridPerDegree, Lng: math.Round(q.At.Lng*gridPerDegree) / gridPerDegree}
	if hit, ok := c.answers.Get(central); ok && time.Now().Before(hit.expires) {
		c.watch(Event{Provider: c.provider, Kind: CacheHit})
		return hit.answer.sortedFrom(q.At), nil
	}
	a, err := c.finder.Find(ctx, central)
	if err != nil {
		return Answer{}, err
	}
	c.answers.Add(central, cached{a, time.Now().Add(CacheTTL)})
	return a.sortedFrom(q.At), nil
}

// sortedFrom returns the answer with a copy of its results, sorted by their distance from a point.
func (a Answer) sortedFrom(at Point) Answer {
	a.Results = slices.Clone(a.Results)
	slices.SortStableFunc(a.Results, func(x, y Place) int {
		return cmp.Compare(Distance(at, x.Geometry.Location), Distance(at, y.Geometry.Location))
	})
	return a
}
