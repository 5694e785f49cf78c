package bus

import (
	"fmt"
	"strings"
)

// subject returns where from tells to something: <herd>.<kind>.<from>.<to>.
func subject(herd string, kind Kind, from, to string) string {
	return herd + "." + string(kind) + "." + from + "." + to
}

// anyKind stands for every kind in the subject of a subscription or a permission, and anyNode for every node.
const (
	anyKind Kind   = "*"
	anyNode string = "*"
)

// parseSubject is the inverse of subject.
func parseSubject(s string) (herd string, kind Kind, from, to string, err error) {
	tokens := strings.Split(s, ".")
	if len(tokens) != 4 {
		return "", "", "", "", fmt.Errorf("bus: subject %q has not the form <herd>.<kind>.<from>.<to>", s)
	}
	return tokens[0], Kind(tokens[1]), tokens[2], tokens[3], nil
}
