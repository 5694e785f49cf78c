// Package near finds, of many clients that move, those nearest to a point on Earth.
//
// A point on Earth is a point in space, on a sphere of radius 1, and the straight line between two of them grows with the distance along
// the ground. So clients are in an octree: a cube around the sphere, divided into eight children wherever it holds more than a few
// clients. In space neither poles nor the antimeridian are special, and where clients are dense, the cubes are small. The straight line
// only decides which cubes are skipped; distances of clients are measured on the ground, as everywhere else.
package near

import (
	"cmp"
	"math"
	"slices"

	"herd/node/line"
	"herd/places"
)

const (
	maxClients = 16 // of a cube that is not divided, unless it has maxDepth
	maxDepth   = 24 // divisions; the smallest cubes have a side of 0.8 m
)

// Index holds the last report of each of a set of clients. It is not safe for concurrent use.
type Index struct {
	rows  []row
	free  int32 // first of the list of unused rows, which next links
	ids   map[line.ClientID]int32
	cubes []cube // the first is the root
	built int    // number of cubes after the last rebuild
}

// row is a client. Rows are numbered from 1; 0 is none.
type row struct {
	report         line.Report // zero if the row is unused
	at             places.Point
	cube           int32
	previous, next int32 // in the same cube
}

// cube is a node of the octree. A divided one holds no clients itself.
type cube struct {
	children [8]int32 // 0: empty
	first    int32    // of its list of clients, which next links
	count    int32    // of clients
	divided  bool
}

// New returns an empty index with room for so many clients; there can be more.
func New(clients int) *Index {
	return &Index{
		rows: make([]row, 1, 1+clients), ids: make(map[line.ClientID]int32, clients), cubes: make([]cube, 1, 1+clients/4), built: clients / 4,
	}
}

// Put replaces the report of a client, or adds it.
func (x *Index) Put(r line.Report) {
	n, known := x.ids[r.Client()]
	if known {
		x.unlink(n)
		delete(x.ids, r.Client()) // for the key is part of the old report
	} else {
		n = x.unusedRow()
	}
	x.ids[r.Client()] = n
	lat, lng := r.Coordinates()
	x.rows[n] = row{report: r, at: places.Point{Lat: lat, Lng: lng}}
	x.enter(n)
	if len(x.cubes) > 2*x.built+1024 {
		x.rebuild()
	}
}

// Keep removes the clients whose report keep does not accept.
func (x *Index) Keep(keep func(line.Report) bool) {
	for n := range x.rows {
		if r := x.rows[n].report; !r.IsZero() && !keep(r) {
			delete(x.ids, r.Client())
			x.unlink(int32(n))
			x.rows[n] = row{next: x.free}
			x.free = int32(n)
		}
	}
}

// unusedRow returns a row that is not used.
func (x *Index) unusedRow() int32 {
	if n := x.free; n != 0 {
		x.free = x.rows[n].next
		return n
	}
	x.rows = append(x.rows, row{})
	return int32(len(x.rows) - 1)
}

// rebuild builds the octree anew, without the cubes that clients have left.
func (x *Index) rebuild() {
	x.cubes = make([]cube, 1, len(x.cubes)/2)
	for n := range x.rows {
		if !x.rows[n].report.IsZero() {
			x.enter(int32(n))
		}
	}
	x.built = len(x.cubes)
}

// enter adds a client to its cube.
func (x *Index) enter(n int32) {
	corner := cornerOf(spaceOf(x.rows[n].at))
	c, depth := int32(0), 0
	for ; x.cubes[c].divided; depth++ {
		c = x.child(c, corner.octant(depth))
	}
	x.link(c, n)
	if x.cubes[c].count > maxClients && depth < maxDepth {
		x.divide(c, depth)
	}
}

// child returns the child of a cube in an octant, and makes it if there is none.
func (x *Index) child(c int32, octant int) int32 {
	if x.cubes[c].children[octant] == 0 {
		x.cubes = append(x.cubes, cube{})
		x.cubes[c].children[octant] = int32(len(x.cubes) - 1)
	}
	return x.cubes[c].children[octant]
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

func (x *Index) unlink(n int32) {
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

// divide moves the clients of a cube to its children, and divides those that get too many.
func (x *Index) divide(c int32, depth int) {
	n := x.cubes[c].first
	x.cubes[c] = cube{divided: true}
	for n != 0 {
		next := x.rows[n].next
		x.link(x.child(c, cornerOf(spaceOf(x.rows[n].at)).octant(depth)), n)
		n = next
	}
	for _, child := range x.cubes[c].children {
		if x.cubes[child].count > maxClients && child != 0 && depth+1 < maxDepth {
			x.divide(child, depth+1)
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

// corner is a point in space, in units of which the side of the root has 1<<32: its bits, the highest first, select the octants in which
// it lies.
type corner [3]uint32

const unit = 1.0 / (1 << 31)

func cornerOf(v vector) (c corner) {
	for i := range c {
		c[i] = uint32(min((v[i]+1)/unit, math.MaxUint32)) // rounding may leave the sphere by a hair
	}
	return c
}

// octant returns the octant of a cube of a depth in which the corner lies.
func (c corner) octant(depth int) int {
	shift := 31 - depth
	return int(c[0]>>shift&1 | c[1]>>shift&1<<1 | c[2]>>shift&1<<2)
}

// child returns the lowest corner of an octant of the cube of a depth whose lowest corner this is.
func (c corner) child(octant, depth int) corner {
	for i := range c {
		c[i] |= uint32(octant>>i&1) << (31 - depth)
	}
	return c
}

// distance returns the length of the straight line from v to the nearest point of the cube of a depth whose lowest corner c is.
func (c corner) distance(v vector, depth int) float64 {
	side, sum := 2/float64(uint64(1)<<depth), 0.0
	for i := range c {
		low := float64(c[i])*unit - 1
		d := max(low-v[i], v[i]-low-side, 0)
		sum += d * d
	}
	return math.Sqrt(sum)
}

// Hit is a client and its distance in km from the point of the search.
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
	s.visit(0, corner{}, 0)
	return s.hits
}

// search is a call of Nearest.
type search struct {
	index  *Index
	at     places.Point
	v      vector
	radius float64
	limit  int
	reach  float64 // cubes that are farther in a straight line are skipped
	hits   []Hit   // the nearest so far, nearest first
}

// straight returns the length of the straight line between points that are so many km apart on the ground, and 6 mm more against errors of
// rounding.
func straight(km float64) float64 {
	return 2*math.Sin(min(km/(2*places.EarthRadius), math.Pi/2)) + 1e-9
}

// candidate is a child of a cube.
type candidate struct {
	cube     int32
	corner   corner
	distance float64 // in a straight line
}

// visit searches a cube, its nearest children first.
func (s *search) visit(c int32, corner corner, depth int) {
	here := &s.index.cubes[c]
	if !here.divided {
		for n := here.first; n != 0; n = s.index.rows[n].next {
			r := &s.index.rows[n]
			if d := places.Distance(s.at, r.at); d <= s.radius {
				s.hits = places.InsertNearest(s.hits, Hit{r.report, d}, s.limit, Hit.compare)
				if len(s.hits) == s.limit {
					s.reach = straight(s.hits[s.limit-1].Distance)
				}
			}
		}
		return
	}
	var room [8]candidate
	candidates := room[:0]
	for octant, child := range here.children {
		if child != 0 {
			lowest := corner.child(octant, depth)
			candidates = append(candidates, candidate{child, lowest, lowest.distance(s.v, depth+1)})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	for _, next := range candidates {
		if next.distance > s.reach {
			return
		}
		s.visit(next.cube, next.corner, depth+1)
	}
}

func (h Hit) compare(o Hit) int {
	return cmp.Or(cmp.Compare(h.Distance, o.Distance), cmp.Compare(h.Report.Client(), o.Report.Client()))
}
