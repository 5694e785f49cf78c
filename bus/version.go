package bus

import (
	"fmt"
	"strconv"
	"strings"
)

// OldestServer is the oldest version of the NATS server on which herd is tested, and that takes the configurations that herd makes.
const OldestServer = "2.5.0"

// VersionError says that a NATS server is older than [OldestServer].
type VersionError struct {
	Version string // of the server: any text
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("bus: NATS server %.32q is older than %s, the oldest that herd supports", e.Version, OldestServer)
}

// olderThan compares versions by their first three numbers. What is no number counts as 0.
func olderThan(version, other string) bool {
	a, b := strings.Split(version, "."), strings.Split(other, ".")
	for i := range 3 {
		if x, y := number(a, i), number(b, i); x != y {
			return x < y
		}
	}
	return false
}

// number returns the number at the beginning of one part of a version.
func number(parts []string, i int) (n int) {
	if i < len(parts) {
		digits, _, _ := strings.Cut(parts[i], "-")
		n, _ = strconv.Atoi(digits)
	}
	return n
}
