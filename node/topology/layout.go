package topology

import (
	"math"
	"math/rand/v2"

	"herd/node/line"
)

// Point is a place on the grid. Columns are half as wide as a server and its surroundings: two of one row are at least two columns apart.
type Point struct{ Column, Row int }

// What a picture should not have, beside distances that are wrong: their weights are in squares of a hundredth of a link.
const (
	crossed = 9_000  // two links cross each other
	hidden  = 40_000 // a link runs behind a server
)

// search is a picture that is made better in steps. It is threshold accepting (Dueck and Scheuer, Journal of Computational Physics 90,
// 1990): a step is taken if it makes the picture less than so much worse, which is less and less. That distances should be those of the
// graph is of Kamada and Kawai (Information Processing Letters 31, 1989), the other costs of Davidson and Harel (ACM Transactions on
// Graphics 15, 1996).
type search struct {
	links         [][2]int
	of            [][]int // links of each server
	distances     [][]int // in links
	columns, rows int
	at            []Point
	taken         map[Point]int
	lengths       []int // in hundredths of a link, by columns and rows apart
	rng           *rand.Rand
}

// Place lays the servers out for a picture, in their order: on a grid with the given number of columns and as many rows as it takes, so that
// links are about as long as servers are links apart, and few cross each other or run behind a server. All arithmetic is in whole numbers,
// so the same topology has the same layout on every machine.
func (t *Topology) Place(columns int) []Point {
	columns = max(columns, 1)
	servers, inRow := len(t.nodes), (columns+1)/2
	rows := (servers+inRow-1)/inRow + 2
	rows += rows / 2
	index := make(map[line.NodeName]int, servers)
	for i, n := range t.nodes {
		index[n] = i
	}
	links, distances := make([][2]int, len(t.links)), make([][]int, servers)
	for i, l := range t.links {
		links[i] = [2]int{index[l[0]], index[l[1]]}
	}
	for i, n := range t.nodes {
		distances[i] = make([]int, servers)
		from, _ := t.distances(n)
		for peer, links := range from {
			distances[i][index[peer]] = links
		}
	}
	var best []Point
	least := math.MaxInt
	for seed := range attempts(servers) {
		s := newSearch(uint64(seed), distances, links, columns, rows)
		s.improve(steps(servers, len(links)))
		if cost := s.cost(); cost < least {
			best, least = s.at, cost
		}
	}
	return upright(best)
}

// attempts is from how many first pictures the best is sought, steps how many steps are tried of each: fewer if they take long.
func attempts(servers int) int { return max(1, min(6, 100/servers)) }

func steps(servers, links int) int {
	return min(2500*servers, 60_000_000/(servers+links*links/servers+links))
}

func newSearch(seed uint64, distances [][]int, links [][2]int, columns, rows int) *search {
	s := &search{
		links: links, of: make([][]int, len(distances)), distances: distances, columns: columns, rows: rows,
		taken: make(map[Point]int), rng: rand.New(rand.NewPCG(seed, 0x6c61_796f)),
	}
	for i, l := range links {
		s.of[l[0]], s.of[l[1]] = append(s.of[l[0]], i), append(s.of[l[1]], i)
	}
	for dy := range rows {
		for dx := range columns {
			s.lengths = append(s.lengths, int(math.Sqrt(float64(2500*dx*dx+10_000*dy*dy))))
		}
	}
	for i, place := range s.rng.Perm((columns + 1) / 2 * rows)[:len(distances)] {
		p := Point{place / rows * 2, place % rows}
		s.at = append(s.at, p)
		s.taken[p] = i + 1
	}
	return s
}

// improve tries steps: a server moves, or changes places with another.
func (s *search) improve(steps int) {
	const first = 30_000 // how much worse the first step may be
	for i := range steps {
		left := steps - i
		bearable := first * (left / 64) / (steps/64 + 1) * (left / 64) / (steps/64 + 1)
		n := s.rng.IntN(len(s.at))
		from := s.at[n]
		to := Point{s.rng.IntN(s.columns), s.rng.IntN(s.rows)}
		if s.rng.IntN(2) == 0 { // a short one
			to = Point{from.Column + s.rng.IntN(5) - 2, from.Row + s.rng.IntN(3) - 1}
		}
		other := s.taken[to] - 1
		if to == from || !s.free(n, other, to) {
			continue
		}
		before := s.share(n, other)
		s.move(n, other, to)
		if s.share(n, other)-before > bearable {
			s.move(n, other, from)
		}
	}
}

// free reports whether a server can be moved to a place, which another has, or none.
func (s *search) free(n, other int, to Point) bool {
	if to.Column < 0 || to.Column >= s.columns || to.Row < 0 || to.Row >= s.rows {
		return false
	}
	if other >= 0 {
		return true
	}
	for _, side := range []int{-1, 1} {
		if near := s.taken[Point{to.Column + side, to.Row}] - 1; near >= 0 && near != n {
			return false
		}
	}
	return true
}

// move moves a server, and another to where it was, unless that is -1.
func (s *search) move(n, other int, to Point) {
	from := s.at[n]
	delete(s.taken, from)
	s.at[n] = to
	s.taken[to] = n + 1
	if other >= 0 {
		s.at[other] = from
		s.taken[from] = other + 1
	}
}

func (s *search) cost() (sum int) {
	for n := range s.at {
		sum += s.share(n, -1)
	}
	return sum
}

// share is what one or two servers cost.
func (s *search) share(n, other int) int {
	cost := s.price(n)
	if other >= 0 {
		cost += s.price(other)
	}
	return cost
}

// price is what a server and its links cost.
func (s *search) price(n int) (cost int) {
	at := s.at[n]
	for m, p := range s.at {
		if m != n {
			wanted := s.distances[n][m]
			wrong := s.lengths[abs(at.Row-p.Row)*s.columns+abs(at.Column-p.Column)] - 100*wanted
			cost += wrong * wrong / (wanted * wanted)
		}
	}
	for _, i := range s.of[n] {
		a, b := s.at[s.links[i][0]], s.at[s.links[i][1]]
		for j, l := range s.links {
			if j != i && crosses(a, b, s.at[l[0]], s.at[l[1]]) {
				cost += crossed
			}
		}
		for m, p := range s.at {
			if m != s.links[i][0] && m != s.links[i][1] && behind(a, b, p) {
				cost += hidden
			}
		}
	}
	for _, l := range s.links {
		if l[0] != n && l[1] != n && behind(s.at[l[0]], s.at[l[1]], at) {
			cost += hidden
		}
	}
	return cost
}

// turn returns on which side of the line from a to b a point is: > 0, < 0, or 0 if on it.
func turn(a, b, p Point) int {
	return (b.Column-a.Column)*(p.Row-a.Row) - (b.Row-a.Row)*(p.Column-a.Column)
}

// crosses reports whether two links cross between their ends.
func crosses(a, b, c, d Point) bool {
	return opposite(turn(a, b, c), turn(a, b, d)) && opposite(turn(c, d, a), turn(c, d, b))
}

func opposite(a, b int) bool { return a > 0 && b < 0 || a < 0 && b > 0 }

// behind reports whether a link runs behind a server, or hardly past it. A server has 3/4 of a column to each side, and 1/3 of a row.
func behind(a, b, p Point) bool {
	if p.Row < min(a.Row, b.Row) || p.Row > max(a.Row, b.Row) {
		return false
	}
	if a.Row == b.Row {
		return p.Column > min(a.Column, b.Column)-1 && p.Column < max(a.Column, b.Column)+1
	}
	// Where the link is in the server's row, and how far it goes aside within a third of a row, both times the rows it spans.
	rows, columns := b.Row-a.Row, b.Column-a.Column
	if rows < 0 {
		rows, columns = -rows, -columns
	}
	start := a
	if b.Row < a.Row {
		start = b
	}
	there := start.Column*rows + (p.Row-start.Row)*columns
	if p.Row == a.Row || p.Row == b.Row {
		// Beside an end: the link leaves its row to one side.
		end := a
		if p.Row == b.Row {
			end = b
		}
		away := (p.Column - end.Column) * rows
		leaves := columns
		if end != start {
			leaves = -columns
		}
		return away > 0 && 3*away-9*rows/4 < leaves || away < 0 && 3*away+9*rows/4 > leaves
	}
	return 12*abs(there-p.Column*rows) < 9*rows+4*abs(columns)
}

func abs(n int) int { return max(n, -n) }

// upright moves a picture to the corner, and mirrors it so that the servers that are named first come first, as one reads.
func upright(at []Point) []Point {
	lowest, highest := at[0], at[0]
	for _, p := range at {
		lowest = Point{min(lowest.Column, p.Column), min(lowest.Row, p.Row)}
		highest = Point{max(highest.Column, p.Column), max(highest.Row, p.Row)}
	}
	across, down := 0, 0 // > 0: those that are named last come last
	for i, p := range at {
		weight := 2*i - (len(at) - 1)
		across += weight * p.Column
		down += weight * p.Row
	}
	placed := make([]Point, len(at))
	for i, p := range at {
		placed[i] = Point{p.Column - lowest.Column, p.Row - lowest.Row}
		if across < 0 {
			placed[i].Column = highest.Column - p.Column
		}
		if down < 0 {
			placed[i].Row = highest.Row - p.Row
		}
	}
	return placed
}
