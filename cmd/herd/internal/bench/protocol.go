package bench

import "bytes"

// Protocol makes the requests of a generator, and reads the replies of a server. It is used by all connections at the same time.
type Protocol interface {
	// Append appends the bytes of a request.
	Append(dst []byte, r *Request) []byte
	// Reply finds the reply to a request, which is what Append made, at the start of what has been received since the replies
	// to all earlier requests. It returns the reply's size, which is 0 if it is [Incomplete] or [Broken].
	Reply(in, request []byte) (size int, o Outcome)
}

// Request is a report of a client, or a request for what is near it.
type Request struct {
	WhatsAt  bool   // what is near the client, rather than a report of where it is
	Client   []byte // its name
	Lat, Lon int32  // where it is, in millionths of a degree
	Nanos    int64  // since 1970, later than in any earlier request of that client
}

// Outcome is what became of a request.
type Outcome uint8

// What a reply can be.
const (
	Incomplete Outcome = iota // not all of it has been received
	Done                      // what was expected
	Refused                   // the server refused it
	Wrong                     // a whole reply, but none that belongs to that request
	Broken                    // no reply in this protocol: what follows cannot be understood either
)

// Herd is the protocol of this module's servers.
type Herd struct {
	Radius, Bound string // of a WHATSAT: kilometres, and places at most
}

// Append makes an IAMAT or a WHATSAT.
func (h Herd) Append(dst []byte, r *Request) []byte {
	if r.WhatsAt {
		dst = append(append(dst, whatsAt...), r.Client...)
		dst = append(append(dst, ' '), h.Radius...)
		return append(append(append(dst, ' '), h.Bound...), '\n')
	}
	return appendIAmAt(dst, r)
}

const (
	iAmAt   = "IAMAT "
	whatsAt = "WHATSAT "

	// How the JSON of a good answer ends.
	found = "\n  \"status\": \"OK\"\n}"
	none  = "\n  \"status\": \"ZERO_RESULTS\"\n}"
)

func appendIAmAt(dst []byte, r *Request) []byte {
	dst = append(append(dst, iAmAt...), r.Client...)
	dst = append(dst, ' ')
	dst = AppendDegrees(dst, r.Lat, 2)
	dst = AppendDegrees(dst, r.Lon, 3)
	dst = append(dst, ' ')
	return append(AppendTime(dst, r.Nanos), '\n')
}

// Reply understands "AT …" and, for a WHATSAT, the JSON after it, or "? " and the request. A report must come back with the client's own
// bytes, and an answer must be about that client. If the provider of places failed, the server has refused.
func (h Herd) Reply(in, request []byte) (int, Outcome) {
	end := bytes.IndexByte(in, '\n')
	switch {
	case end < 0 && !begins(in):
		return 0, Broken
	case end < 0:
		return 0, Incomplete
	case in[0] == '?' && begins(in):
		if !bytes.Equal(in[min(2, end):end+1], request) {
			return end + 1, Wrong
		}
		return end + 1, Refused
	case !begins(in):
		return 0, Broken
	}
	at := in[:end]
	if bytes.HasPrefix(request, []byte(whatsAt)) {
		return answer(in, at, request)
	}
	switch {
	case len(in) == end+1:
		return 0, Incomplete
	case in[end+1] != '\n':
		return 0, Broken
	}
	report := request[min(len(iAmAt)-1, len(request)) : len(request)-1] // with the blank before it
	if server, ok := bytes.CutSuffix(at, report); !ok || !stamped(server) {
		return end + 2, Wrong
	}
	return end + 2, Done
}

// begins reports whether a reply, of which there may be little, begins as one does.
func begins(in []byte) bool {
	n := min(len("AT "), len(in))
	return string(in[:n]) == "AT "[:n] || string(in[:min(n, 2)]) == "? "[:min(n, 2)]
}

// stamped reports whether text is AT, the name of a server and a skew.
func stamped(text []byte) bool {
	if len(text) < len("AT ") {
		return false
	}
	_, skew, ok := bytes.Cut(text[len("AT "):], []byte{' '})
	return ok && len(skew) > 1 && (skew[0] == '+' || skew[0] == '-') && bytes.IndexByte(skew, ' ') < 0
}

// answer understands the reply to a WHATSAT whose first line is at.
func answer(in, at, request []byte) (int, Outcome) {
	blank := bytes.Index(in[len(at):], []byte("\n\n"))
	if blank < 0 {
		return 0, Incomplete
	}
	size := len(at) + blank + 2
	json := in[len(at) : len(at)+blank]
	client := request[len(whatsAt):]
	client = client[:max(0, bytes.IndexByte(client, ' '))]
	about := at // AT server skew client position time
	for range 3 {
		_, about, _ = bytes.Cut(about, []byte{' '})
	}
	about, _, _ = bytes.Cut(about, []byte{' '})
	switch {
	case !bytes.Equal(about, client), !bytes.HasPrefix(json, []byte("\n{")), json[len(json)-1] != '}':
		return size, Wrong
	case !bytes.HasSuffix(json, []byte(found)) && !bytes.HasSuffix(json, []byte(none)):
		return size, Refused
	}
	return size, Done
}

// AppendDegrees appends an angle as a sign, so many digits, a point and six more.
func AppendDegrees(dst []byte, millionths int32, digits int) []byte {
	sign := byte('+')
	if millionths < 0 {
		sign, millionths = '-', -millionths
	}
	dst = append(dst, sign)
	dst = appendDigits(dst, int64(millionths/1e6), digits)
	dst = append(dst, '.')
	return appendDigits(dst, int64(millionths%1e6), 6)
}

// AppendTime appends POSIX seconds with nine decimals.
func AppendTime(dst []byte, nanos int64) []byte {
	dst = appendDigits(dst, nanos/1e9, 10)
	dst = append(dst, '.')
	return appendDigits(dst, nanos%1e9, 9)
}

// appendDigits appends the last so many digits of n.
func appendDigits(dst []byte, n int64, digits int) []byte {
	const zeros = "00000000000000000000"
	dst = append(dst, zeros[:digits]...)
	left := uint64(n)
	for i := len(dst) - 1; i >= len(dst)-digits; i-- {
		dst[i] = byte('0' + left%10)
		left /= 10
	}
	return dst
}
