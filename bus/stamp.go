package bus

import "fmt"

const (
	maxStamp = 100
	reserved = 4 // a first token as short as that can be one that NATS keeps for itself: _R_, _GR_
)

// checkStamp finds what a sender must not write: on NATS a stamp stands where a message says on which subject to reply.
func checkStamp(stamp string) error {
	if stamp == "" {
		return nil
	}
	fits, token := len(stamp) <= maxStamp, 0 // bytes of the token that i is in
	for i := 0; fits && i <= len(stamp); i++ {
		switch end := i == len(stamp); {
		case !end && inToken(stamp[i]):
			token++
		case !end && stamp[i] != '.', token == 0, token == i && token <= reserved:
			fits = false
		default:
			token = 0
		}
	}
	if !fits {
		return fmt.Errorf("%w: %q", ErrStamp, stamp)
	}
	return nil
}

func inToken(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
