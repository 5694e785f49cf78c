package places

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// What a cache remembers: so many answers, for so long. Texts of places are bounded, so that one has 100 KB at most, and most have 5.
const (
	CacheSize = 4096
	CacheLife = time.Hour
)

// Questions are moved to the points of a grid, so many to a degree: 0.0001° are 11 m at most. In a circle of less than tight km, that
// would be too far.
const (
	grid  = 1e4
	tight = 0.1
)

// Cache returns a Finder that remembers f's answers to questions from about the same place, within 8 m, with the same radius and
// bound. f is asked from the nearest of the points that these have in common, and what it gives is sorted anew by the distance from
// the point that was asked for: a place within 8 m of the edge of the circle may be missed, and one that is hardly nearer than the last
// of those within the bound. Nothing is remembered of circles of less than 100 m, and no failure.
//
// Only for providers whose terms allow it.
func Cache(provider string, f Finder, watch Watch) Finder {
	answers, err := lru.New[Query, remembered](CacheSize)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &cache{provider: provider, finder: f, watch: watch, answers: answers}
}

type cache struct {
	provider string
	finder   Finder
	watch    Watch
	answers  *lru.Cache[Query, remembered]
}

type remembered struct {
	answer Answer
	until  time.Time
}

func (c *cache) Find(ctx context.Context, q Query) (Answer, error) {
	if q.Radius < tight {
		return c.finder.Find(ctx, q)
	}
	common := q
	common.At = Point{Lat: math.Round(q.At.Lat*grid) / grid, Lng: math.Round(q.At.Lng*grid) / grid}
	if r, known := c.answers.Get(common); known && time.Now().Before(r.until) {
		c.watch(Event{Provider: c.provider, What: Hit})
		return r.answer.from(q.At), nil
	}
	a, err := c.finder.Find(ctx, common)
	if err != nil {
		return Answer{}, err
	}
	c.answers.Add(common, remembered{a, time.Now().Add(CacheLife)})
	return a.from(q.At), nil
}

// from returns the answer with its results sorted by their distance from a point.
func (a Answer) from(at Point) Answer {
	a.Results = slices.Clone(a.Results)
	slices.SortStableFunc(a.Results, func(x, y Place) int {
		return cmp.Compare(Distance(at, x.Geometry.Location), Distance(at, y.Geometry.Location))
	})
	return a
}
