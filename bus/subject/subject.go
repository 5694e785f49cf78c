// Package subject holds what the subjects of the bus are made of: the kinds of messages, the subject of a message, who may
// publish and subscribe to which, and the stamp that numbers messages. It knows no NATS, only its form of subjects: tokens
// with points between, where * stands for any one token and > for one or more at the end.
package subject

import (
	"fmt"
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
