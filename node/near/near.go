// Package near finds, of many clients that move, those nearest to a point on Earth.
//
// A point on Earth is a point in space, on a sphere of radius 1, and the straight line between two of them grows with the way along
// the ground. So clients are in an octree: a cube around the sphere, halved in each direction wherever more than a few clients
// are in a part of it. In space neither poles nor the antimeridian are special, and where clients crowd, the cubes are small.
// The straight line only says which cubes need not be looked into; what is found is measured on the ground, as everywhere else.
package near

import (
	"cmp"
	"math"
	"slices"

	"herd/node/line"
	"herd/places"
)

const (
	most    = 16 // clients of a cube that is not divided, unless it is one of the smallest
	deepest = 24 // halvings: of the smallest cubes a side is 0.8 m
)

// Index is the last report of each of a set of clients. It is not safe for concurrent use.
type Index struct {
	rows  []row
	free  int32 // a row that is not used, and by its next others
	ids   map[line.ClientID]int32
	cubes []cube // the first is all
	built int    // cubes there were when they were made anew
}

// row is a client. Rows are numbered from 1, so that 0 is none.
type row struct {
	report         line.Report // zero: not used
	at             places.Point
	cube           int32
	previous, next int32 // in the same cube
}

// cube is a part of the space. One that is divided holds no clients itself.
type cube struct {
	parts   [8]int32 // 0: empty
	first   int32    // client
	count   int32    // of clients
	divided bool
}

// New returns an empty index with room for so many clients; there can be more.
func New(clients int) *Index {
	return &Index{
		rows: make([]row, 1, 1+clients), ids: make(map[line.ClientID]int32, clients), cubes: make([]cube, 1, 1+clients/4), built: clients / 4,
	}
}

// Len returns the number of clients.
func (x *Index) Len() int { return len(x.ids) }

// Put takes a client's report in the place of the one that there is.
func (x *Index) Put(r line.Report) {
	n, known := x.ids[r.Client()]
	if known {
		x.leave(n)
		delete(x.ids, r.Client()) // for the key is part of the old report
	} else {
		n = x.spare()
	}
	x.ids[r.Client()] = n
	lat, lng := r.Coordinates()
	x.rows[n] = row{report: r, at: places.Point{Lat: lat, Lng: lng}}
	x.enter(n)
	if len(x.cubes) > 2*x.built+1024 {
		x.rebuild()
	}
}

// Keep forgets the clients whose report keep does not accept.
func (x *Index) Keep(keep func(line.Report) bool) {
	for n := range x.rows {
		if r := x.rows[n].report; !r.IsZero() && !keep(r) {
			delete(x.ids, r.Client())
			x.leave(int32(n))
			x.rows[n] = row{next: x.free}
			x.free = int32(n)
		}
	}
}

// spare returns a row that is not used.
func (x *Index) spare() int32 {
	if n := x.free; n != 0 {
		x.free = x.rows[n].next
		return n
	}
	x.rows = append(x.rows, row{})
	return int32(len(x.rows) - 1)
}

// rebuild makes all cubes anew: what clients have left is given back.
func (x *Index) rebuild() {
	x.cubes = make([]cube, 1, len(x.cubes)/2)
	for n := range x.rows {
		if !x.rows[n].report.IsZero() {
			x.enter(int32(n))
		}
	}
	x.built = len(x.cubes)
}

// enter puts a client into its cube.
func (x *Index) enter(n int32) {
	corner := cornerOf(spaceOf(x.rows[n].at))
	c, depth := int32(0), 0
	for ; x.cubes[c].divided; depth++ {
		part := corner.part(depth)
		if x.cubes[c].parts[part] == 0 {
			x.cubes = append(x.cubes, cube{})
			x.cubes[c].parts[part] = int32(len(x.cubes) - 1)
		}
		c = x.cubes[c].parts[part]
	}
	x.link(c, n)
	if x.cubes[c].count > most && depth < deepest {
		x.divide(c, depth)
	}
}

func (x *Index) link(c, n int32) {
	first := x.cubes[c].first
	x.rows[n].cube, x.rows[n].previous, x.rows[n].next = c, 0, first
	if first != 0 {
		x.rows[first].previous = n
	}
	x.cubes[c].first = n
	x.cubes[c].count++
}

func (x *Index) leave(n int32) {
	r := x.rows[n]
	if r.previous != 0 {
		x.rows[r.previous].next = r.next
	} else {
		x.cubes[r.cube].first = r.next
	}
	if r.next != 0 {
		x.rows[r.next].previous = r.previous
	}
	x.cubes[r.cube].count--
}

// divide gives the clients of a cube to its parts, and divides one that gets them all.
func (x *Index) divide(c int32, depth int) {
	n := x.cubes[c].first
	x.cubes[c] = cube{divided: true}
	for n != 0 {
		next := x.rows[n].next
		part := cornerOf(spaceOf(x.rows[n].at)).part(depth)
		if x.cubes[c].parts[part] == 0 {
			x.cubes = append(x.cubes, cube{})
			x.cubes[c].parts[part] = int32(len(x.cubes) - 1)
		}
		x.link(x.cubes[c].parts[part], n)
		n = next
	}
	for _, part := range x.cubes[c].parts {
		if x.cubes[part].count > most && part != 0 && depth+1 < deepest {
			x.divide(part, depth+1)
		}
	}
}

// vector is a point in space, where the centre of the Earth is the origin and its radius 1.
type vector [3]float64

func spaceOf(p places.Point) vector {
	const degree = math.Pi / 180
	sinLat, cosLat := math.Sincos(p.Lat * degree)
	sinLng, cosLng := math.Sincos(p.Lng * degree)
	return vector{cosLat * cosLng, cosLat * sinLng, sinLat}
}

// corner is a point in space in units of which the side of all has 1<<32: its bits, the highest first, are the parts in which it lies.
type corner [3]uint32

const unit = 1.0 / (1 << 31)

func cornerOf(v vector) (c corner) {
	for i := range c {
		c[i] = uint32(min((v[i]+1)/unit, math.MaxUint32)) // rounding may leave the sphere by a hair
	}
	return c
}

// part returns the part of a cube of a depth in which the corner lies.
func (c corner) part(depth int) int {
	shift := 31 - depth
	return int(c[0]>>shift&1 | c[1]>>shift&1<<1 | c[2]>>shift&1<<2)
}

// into returns the lowest corner of a part of the cube of a depth whose lowest corner this is.
func (c corner) into(part, depth int) corner {
	for i := range c {
		c[i] |= uint32(part>>i&1) << (31 - depth)
	}
	return c
}

// away returns the length of the straight line from v to the nearest point of a cube of a depth whose lowest corner c is.
func (c corner) away(v vector, depth int) float64 {
	side, sum := 2/float64(uint64(1)<<depth), 0.0
	for i := range c {
		low := float64(c[i])*unit - 1
		d := max(low-v[i], v[i]-low-side, 0)
		sum += d * d
	}
	return math.Sqrt(sum)
}

// Hit is a client and its distance in km from the point asked for.
type Hit struct {
	Report   line.Report
	Distance float64
}

// Nearest returns the clients at most radius km from a point: the limit nearest of them, nearest first, those that are equally far
// in the order of their IDs.
func (x *Index) Nearest(at places.Point, radius float64, limit int) []Hit {
	if limit <= 0 || !(radius >= 0) {
		return nil
	}
	s := search{index: x, at: at, v: spaceOf(at), radius: radius, limit: limit, reach: straight(radius)}
	s.look(0, corner{}, 0)
	return s.hits
}

// search is what a call of Nearest looks for and has found.
type search struct {
	index  *Index
	at     places.Point
	v      vector
	radius float64
	limit  int
	reach  float64 // what is farther, in a straight line, need not be looked at
	hits   []Hit   // the nearest so far, nearest first
}

// straight returns the length of the straight line between points that are so many km from each other, or a hair more, against errors of
// rounding: 6 mm.
func straight(km float64) float64 {
	return 2*math.Sin(min(km/(2*places.EarthRadius), math.Pi/2)) + 1e-9
}

// part is a part of a cube, and how far it is.
type part struct {
	cube   int32
	corner corner
	away   float64
}

// look takes what is in a cube, nearest parts first.
func (s *search) look(c int32, corner corner, depth int) {
	here := &s.index.cubes[c]
	if !here.divided {
		for n := here.first; n != 0; n = s.index.rows[n].next {
			r := &s.index.rows[n]
			if d := places.Distance(s.at, r.at); d <= s.radius {
				s.add(Hit{r.report, d})
			}
		}
		return
	}
	var room [8]part
	parts := room[:0]
	for i, child := range here.parts {
		if child != 0 {
			inner := corner.into(i, depth)
			parts = append(parts, part{child, inner, inner.away(s.v, depth+1)})
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.away, b.away) })
	for _, p := range parts {
		if p.away > s.reach {
			return
		}
		s.look(p.cube, p.corner, depth+1)
	}
}

// add takes h if it is among the nearest.
func (s *search) add(h Hit) {
	if len(s.hits) == s.limit {
		if h.compare(s.hits[s.limit-1]) > 0 {
			return
		}
		s.hits = s.hits[:s.limit-1]
	}
	i, _ := slices.BinarySearchFunc(s.hits, h, Hit.compare)
	s.hits = slices.Insert(s.hits, i, h)
	if len(s.hits) == s.limit {
		s.reach = straight(s.hits[s.limit-1].Distance)
	}
}

func (h Hit) compare(o Hit) int {
	return cmp.Or(cmp.Compare(h.Distance, o.Distance), cmp.Compare(h.Report.Client(), o.Report.Client()))
}
