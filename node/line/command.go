package line

// Verb is the kind of a client's line.
type Verb uint8

// The verbs of the client protocol. Invalid is every line that is none of the others.
const (
	Invalid Verb = iota
	IAmAt
	WhatsAt
)

const (
	// MaxRadius is the largest radius of a WHATSAT, in kilometres.
	MaxRadius = 50
	// MaxBound is the largest number of places that a WHATSAT may request.
	MaxBound = 20
)

// Command is one client's line, understood. Its byte slices are parts of that line.
type Command struct {
	Verb   Verb
	Client []byte

	Position []byte // IAmAt: ±lat±lon
	Time     []byte // IAmAt: POSIX seconds
	Nanos    int64  // IAmAt: the whole nanoseconds of Time

	Radius float64 // WhatsAt: kilometres, 0 to MaxRadius
	Bound  int     // WhatsAt: results at most, 0 to MaxBound
}

// Parse understands one line of a client, without its LF. It allocates nothing and keeps a hold on line. Whatever
// does not follow the grammar to the letter comes back as Invalid.
func Parse(line []byte) Command {
	verb, i := field(line, 0)
	client, i := field(line, i)
	if len(client) == 0 || len(client) > MaxClient {
		return Command{}
	}
	switch string(verb) {
	case "IAMAT":
		// What has no white space within is a field if white space, or the end, follows.
		start := skip(line, i)
		end, ok := scanPosition(line, start)
		at := skip(line, end)
		if !ok || at == end {
			return Command{}
		}
		stop, nanos, ok := scanTime(line, at)
		if !ok || skip(line, stop) != len(line) {
			return Command{}
		}
		return Command{Verb: IAmAt, Client: client, Position: line[start:end], Time: line[at:stop], Nanos: nanos}
	case "WHATSAT":
		first, i := field(line, i)
		second, i := field(line, i)
		radius, ok := parseRadius(first, MaxRadius)
		bound, fits := parseBound(second, MaxBound)
		if ok && fits && skip(line, i) == len(line) {
			return Command{Verb: WhatsAt, Client: client, Radius: radius, Bound: bound}
		}
	}
	return Command{}
}

// skip returns where the white space ends that begins at i, if any.
func skip(line []byte, i int) int {
	for i < len(line) && isSpace(line[i]) {
		i++
	}
	return i
}

// field returns the next field of line from i on, empty if there is none, and its end.
func field(line []byte, i int) (text []byte, end int) {
	start := skip(line, i)
	for end = start; end < len(line) && !isSpace(line[end]); end++ {
	}
	return line[start:end], end
}

// AppendInvalid appends the reply to a line that is not a command: "? ", the line as it came, LF.
func AppendInvalid(dst, line []byte) []byte {
	dst = append(dst, "? "...)
	dst = append(dst, line...)
	return append(dst, '\n')
}
