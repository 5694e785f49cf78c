package topology

// turn tells on which side of the line from a to b a point is: > 0, < 0, or 0 if on it.
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

// distances returns how many links any two servers are apart.
func distances(servers int, links [][2]int) [][]int {
	neighbours := make([][]int, servers)
	for _, l := range links {
		neighbours[l[0]] = append(neighbours[l[0]], l[1])
		neighbours[l[1]] = append(neighbours[l[1]], l[0])
	}
	all := make([][]int, servers)
	for from := range all {
		hops := make([]int, servers)
		reached := []int{from}
		for i := 0; i < len(reached); i++ {
			for _, n := range neighbours[reached[i]] {
				if n != from && hops[n] == 0 {
					hops[n] = hops[reached[i]] + 1
					reached = append(reached, n)
				}
			}
		}
		all[from] = hops
	}
	return all
}

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
