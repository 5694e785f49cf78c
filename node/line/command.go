package line

// Verb says what a client's line asks for.
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
	// MaxBound is the largest number of places a WHATSAT may ask for.
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
	var fields [4][]byte
	count := 0
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			break
		}
		if count == len(fields) {
			return Command{}
		}
		start := i
		for i < len(line) && !isSpace(line[i]) {
			i++
		}
		fields[count] = line[start:i]
		count++
	}
	if count != len(fields) || len(fields[1]) > MaxClient {
		return Command{}
	}
	switch string(fields[0]) {
	case "IAMAT":
		nanos, ok := parseTime(fields[3])
		if ok && validPosition(fields[2]) {
			return Command{Verb: IAmAt, Client: fields[1], Position: fields[2], Time: fields[3], Nanos: nanos}
		}
	case "WHATSAT":
		radius, ok := parseRadius(fields[2], MaxRadius)
		bound, fits := parseBound(fields[3], MaxBound)
		if ok && fits {
			return Command{Verb: WhatsAt, Client: fields[1], Radius: radius, Bound: bound}
		}
	}
	return Command{}
}

// AppendInvalid appends the reply to a line that is not a command: "? ", the line as it came, LF.
func AppendInvalid(dst, line []byte) []byte {
	dst = append(dst, "? "...)
	dst = append(dst, line...)
	return append(dst, '\n')
}
