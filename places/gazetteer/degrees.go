package gazetteer

import (
	"errors"
	"fmt"
	"strings"

	"herd/places/index"
)

var errDegrees = errors.New("want decimal degrees in their shortest spelling")

// parseDegrees reads a decimal number of degrees of at most limit on either side
// of 0 as units of 1e-7 degrees. Only the shortest spelling of a number is
// accepted: no plus sign, no needless zeros, no "-0", no exponent.
func parseDegrees(s string, limit int32) (int32, error) {
	number, negative := strings.CutPrefix(s, "-")
	whole, fraction, hasPoint := strings.Cut(number, ".")
	if whole == "" || len(whole) > 3 || len(whole) > 1 && whole[0] == '0' ||
		len(fraction) > 7 || hasPoint && (fraction == "" || fraction[len(fraction)-1] == '0') {
		return 0, errDegrees
	}
	var v int64
	for i := range 7 + len(whole) {
		digit := byte('0')
		if i < len(whole) {
			digit = whole[i]
		} else if i-len(whole) < len(fraction) {
			digit = fraction[i-len(whole)]
		}
		if digit < '0' || digit > '9' {
			return 0, errDegrees
		}
		v = 10*v + int64(digit-'0')
	}
	if negative && v == 0 {
		return 0, errDegrees
	}
	if v > int64(limit)*index.PerDegree {
		return 0, fmt.Errorf("want at most %d degrees", limit)
	}
	if negative {
		v = -v
	}
	return int32(v), nil
}
