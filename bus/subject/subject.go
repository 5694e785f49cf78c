// Package subject holds what the subjects of the bus are made of: the kinds of messages, the subject of a message, who may
// publish and subscribe to which, and the stamp that numbers messages. It knows no NATS, only its form of subjects: tokens
// with points between, where * stands for any one token and > for one or more at the end.
package subject

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind is what a message carries. It is a token of the message's subject.
type Kind string

// The kinds of messages that neighbours exchange.
const (
	Propagate Kind = "propagate" // reports, as PROPAGATE lines
	Heartbeat Kind = "heartbeat" // acknowledges messages and compares digests
	Sync      Kind = "sync"      // anti-entropy; may carry whole registries
)

// Any stands for every kind or every node in a subject of a subscription or a permission.
const Any = "*"

// Of returns the subject of messages of a kind from one node to another: <herd>.<kind>.<from>.<to>.
func Of(herd string, kind Kind, from, to string) string {
	return herd + "." + string(kind) + "." + from + "." + to
}

// Parse is the inverse of Of.
func Parse(s string) (herd string, kind Kind, from, to string, err error) {
	tokens := strings.Split(s, ".")
	if len(tokens) != 4 {
		return "", "", "", "", fmt.Errorf("subject %q has not the form <herd>.<kind>.<from>.<to>", s)
	}
	return tokens[0], Kind(tokens[1]), tokens[2], tokens[3], nil
}

// Incarnation is 128 random bits that differ for each start of a node. The zero Incarnation is none.
type Incarnation [16]byte

var errIncarnation = errors.New("not an incarnation")

// String returns the incarnation as 22 characters: base64url without padding (RFC 4648, section 5).
func (i Incarnation) String() string { return base64.RawURLEncoding.EncodeToString(i[:]) }

// ParseIncarnation accepts what String returns, and nothing else.
func ParseIncarnation(s string) (i Incarnation, err error) {
	if len(s) != base64.RawURLEncoding.EncodedLen(len(i)) || strings.ContainsAny(s, "\r\n") {
		return Incarnation{}, errIncarnation
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(i[:], []byte(s)); err != nil {
		return Incarnation{}, errIncarnation
	}
	return i, nil
}

// Stamp numbers the messages of reports and of syncs that one incarnation of a node sends over one link: 1, 2, 3 … A number that the
// receiver does not get belongs to a message that was lost. The zero Stamp is none.
type Stamp struct {
	Incarnation Incarnation
	Number      uint64
	Asks        bool // for an acknowledgement at once
}

var errStamp = errors.New("not a stamp")

// Append appends the stamp's text, <incarnation>.<number>, with a ? after it if it asks for an acknowledgement.
func (s Stamp) Append(dst []byte) []byte {
	dst = base64.RawURLEncoding.AppendEncode(dst, s.Incarnation[:])
	dst = strconv.AppendUint(append(dst, '.'), s.Number, 10)
	if s.Asks {
		dst = append(dst, '?')
	}
	return dst
}

// ParseStamp accepts what Append makes of any stamp with a number, and nothing else.
func ParseStamp(text string) (Stamp, error) {
	text, asks := strings.CutSuffix(text, "?")
	name, digits, _ := strings.Cut(text, ".")
	i, err := ParseIncarnation(name)
	if err != nil {
		return Stamp{}, errStamp
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n == 0 || digits[0] == '+' || digits[0] == '0' {
		return Stamp{}, errStamp
	}
	return Stamp{i, n, asks}, nil
}
