package flood

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Incarnation tells one start of a node from all others: 128 random bits. The zero Incarnation is none.
type Incarnation [16]byte

var errIncarnation = errors.New("flood: not an incarnation")

// String returns the incarnation as 22 characters: base64url without padding (RFC 4648, section 5).
func (i Incarnation) String() string { return base64.RawURLEncoding.EncodeToString(i[:]) }

// ParseIncarnation understands what String returns.
func ParseIncarnation(s string) (i Incarnation, err error) {
	if len(s) != base64.RawURLEncoding.EncodedLen(len(i)) || strings.ContainsAny(s, "\r\n") {
		return Incarnation{}, errIncarnation
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(i[:], []byte(s)); err != nil {
		return Incarnation{}, errIncarnation
	}
	return i, nil
}

// Stamp numbers the messages of reports that one incarnation of a node sends over one link: 1, 2, 3 … A number that is left
// out stands for reports that were not sent.
type Stamp struct {
	Incarnation Incarnation
	Number      uint64
}

var errStamp = errors.New("flood: not a stamp")

// Append appends the stamp's text, <incarnation>.<number>.
func (s Stamp) Append(dst []byte) []byte {
	dst = base64.RawURLEncoding.AppendEncode(dst, s.Incarnation[:])
	return strconv.AppendUint(append(dst, '.'), s.Number, 10)
}

// ParseStamp understands the text of a stamp.
func ParseStamp(text string) (Stamp, error) {
	name, digits, ok := strings.Cut(text, ".")
	i, err := ParseIncarnation(name)
	if !ok || err != nil {
		return Stamp{}, errStamp
	}
	n, err := parseNumber(digits)
	if err != nil || n == 0 {
		return Stamp{}, errStamp
	}
	return Stamp{i, n}, nil
}

var errNumber = errors.New("flood: not a number")

// parseNumber understands what strconv.FormatUint makes, and nothing else.
func parseNumber(s string) (uint64, error) {
	if s == "" || s[0] == '+' || s[0] == '0' && s != "0" {
		return 0, errNumber
	}
	return strconv.ParseUint(s, 10, 64)
}
