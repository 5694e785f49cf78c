package line

import (
	"strconv"
	"unicode/utf8"
)

// NodeName names a server of the herd: 1 to 32 ASCII letters, digits, '_' or '-' (see [ValidName]).
type NodeName string

// ClientID names a device: 1 to [MaxClient] bytes, none of them white space, not necessarily UTF-8.
type ClientID string

// MaxName is the longest node or herd name, in bytes.
const MaxName = 32

// MaxClient is the longest client ID, in bytes.
const MaxClient = 1024

// text is what lines arrive as: bytes from a socket, or a string from the bus.
type text interface{ ~string | ~[]byte }

// ValidName reports whether s may name a node or a herd. Such a name is a single token of a NATS subject, a
// single field of a line, and a file name.
func ValidName[T text](s T) bool {
	if len(s) == 0 || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// ValidClient reports whether s may be a client ID.
func ValidClient[T text](s T) bool {
	if len(s) == 0 || len(s) > MaxClient {
		return false
	}
	for i := range len(s) {
		if isSpace(s[i]) {
			return false
		}
	}
	return true
}

// isSpace reports whether c is one of the six white space characters: TAB, LF, VT, FF, CR (9 to 13) and space.
func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }

// Printable returns bytes as text for a log, whose encoder puts quotes around it and escapes ASCII control characters. What else is not
// printable, and bytes that are not UTF-8, are escaped as in Go.
func Printable[T string | []byte](b T) string {
	text := string(b)
	for _, r := range text {
		if r == utf8.RuneError || r >= 0x7f && !strconv.IsPrint(r) {
			q := strconv.Quote(text)
			return q[1 : len(q)-1]
		}
	}
	return text
}
