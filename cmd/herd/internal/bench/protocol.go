package bench

// Protocol is what a generator says to a server, and understands of its replies. It is used by all connections at the same time.
type Protocol interface {
	// Append appends the bytes of a request.
	Append(dst []byte, r *Request) []byte
	// Reply finds the reply to a request, which is what Append made, at the start of what has been received since the replies
	// to all earlier requests. It returns the reply's size, which is 0 if it is [Incomplete] or [Broken].
	Reply(in, request []byte) (size int, o Outcome)
}

// Request is what a client says.
type Request struct {
	Ask      bool   // what is near the client, rather than to report where it is
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
	Refused                   // the server says no
	Wrong                     // a whole reply, but none that belongs to that request
	Broken                    // no reply in this protocol: what follows cannot be understood either
)

// appendDegrees appends an angle as a sign, so many digits, a point and six more.
func appendDegrees(dst []byte, millionths int32, digits int) []byte {
	sign := byte('+')
	if millionths < 0 {
		sign, millionths = '-', -millionths
	}
	dst = append(dst, sign)
	dst = appendDigits(dst, int64(millionths/1e6), digits)
	dst = append(dst, '.')
	return appendDigits(dst, int64(millionths%1e6), 6)
}

// appendTime appends POSIX seconds with nine decimals.
func appendTime(dst []byte, nanos int64) []byte {
	dst = appendDigits(dst, nanos/1e9, 10)
	dst = append(dst, '.')
	return appendDigits(dst, nanos%1e9, 9)
}

// appendDigits appends the last so many digits of n, two at a time.
func appendDigits(dst []byte, n int64, digits int) []byte {
	const zeros = "00000000000000000000"
	dst = append(dst, zeros[:digits]...)
	i := len(dst)
	rest := uint64(n)
	for ; digits >= 2 && rest > 0; digits -= 2 {
		i -= 2
		pair := rest % 100 * 2
		rest /= 100
		dst[i], dst[i+1] = pairs[pair], pairs[pair+1]
	}
	if digits == 1 {
		dst[i-1] = byte('0' + rest%10)
	}
	return dst
}

// pairs is 00 to 99.
const pairs = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" + "40414243444546474849" +
	"50515253545556575859" + "60616263646566676869" + "70717273747576777879" + "80818283848586878889" + "90919293949596979899"
