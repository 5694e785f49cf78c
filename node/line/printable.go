package line

import (
	"strconv"
	"unicode/utf8"
)

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
