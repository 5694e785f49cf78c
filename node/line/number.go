package line

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

const (
	nano       = 1_000_000_000
	maxSeconds = math.MaxInt64 / nano
)

// digits returns the end of the run of decimal digits in s that begins at i.
func digits[T text](s T, i int) int {
	for i < len(s) && s[i]-'0' < 10 {
		i++
	}
	return i
}

// decimal returns the ends of the integer digits and of the whole of the number digits[.digits] in s that
// begins at i. It is ok if there is a digit before the point and, when there is a point, after it.
func decimal[T text](s T, i int) (point, end int, ok bool) {
	point = digits(s, i)
	if point == i {
		return 0, 0, false
	}
	if point == len(s) || s[point] != '.' {
		return point, point, true
	}
	end = digits(s, point+1)
	return point, end, end > point+1
}

// scanTime returns the end and the whole nanoseconds of the POSIX time in s that begins at i, digits[.digits] in seconds. Digits
// beyond the ninth of the fraction are legal and cut off. It is not ok if there is none or its nanoseconds do not fit int64.
func scanTime[T text](s T, i int) (end int, nanos int64, ok bool) {
	point, end, ok := decimal(s, i)
	if !ok {
		return 0, 0, false
	}
	for ; i < point; i++ {
		nanos = nanos*10 + int64(s[i]-'0')
		if nanos > maxSeconds {
			return 0, 0, false
		}
	}
	var fraction int64
	unit := int64(nano)
	for i++; i < end && unit > 1; i++ {
		unit /= 10
		fraction += int64(s[i]-'0') * unit
	}
	nanos = nanos*nano + fraction
	return end, nanos, nanos >= 0
}

// validTime reports whether s is a time and nothing else.
func validTime[T text](s T) bool {
	end, _, ok := scanTime(s, 0)
	return ok && end == len(s)
}

// compareTime compares two valid times as numbers, however many digits they have: -1, 0 or +1.
func compareTime(a, b string) int {
	if len(a) == len(b) && strings.IndexByte(a, '.') == strings.IndexByte(b, '.') {
		return strings.Compare(a, b) // digit by digit, as most clients write all their times alike
	}
	aWhole, aFraction, _ := strings.Cut(a, ".")
	bWhole, bFraction, _ := strings.Cut(b, ".")
	aWhole, bWhole = strings.TrimLeft(aWhole, "0"), strings.TrimLeft(bWhole, "0")
	return cmp.Or(
		cmp.Compare(len(aWhole), len(bWhole)),
		strings.Compare(aWhole, bWhole),
		strings.Compare(strings.TrimRight(aFraction, "0"), strings.TrimRight(bFraction, "0")),
	)
}

// degrees returns the end of the signed decimal in s that begins at i and whose absolute value is at most limit.
func degrees[T text](s T, i, limit int) (end int, ok bool) {
	if i >= len(s) || s[i] != '+' && s[i] != '-' {
		return 0, false
	}
	point, end, ok := decimal(s, i+1)
	if !ok {
		return 0, false
	}
	return end, atMost(s, i+1, point, end, limit)
}

// atMost reports whether the decimal s[start:end], its integer digits ending at point, is at most limit.
func atMost[T text](s T, start, point, end, limit int) bool {
	whole := 0
	for i := start; i < point; i++ {
		if whole = whole*10 + int(s[i]-'0'); whole > limit {
			return false
		}
	}
	if whole < limit {
		return true
	}
	for i := point + 1; i < end; i++ {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// scanPosition returns the end of the position in s that begins at i: ISO 6709 decimal degrees, ±lat±lon, |lat| ≤ 90 and
// |lon| ≤ 180.
func scanPosition[T text](s T, i int) (end int, ok bool) {
	lon, ok := degrees(s, i, 90)
	if !ok {
		return 0, false
	}
	return degrees(s, lon, 180)
}

// validPosition reports whether s is a position and nothing else.
func validPosition[T text](s T) bool {
	end, ok := scanPosition(s, 0)
	return ok && end == len(s)
}

// coordinates returns the degrees of a valid position.
func coordinates(position string) (lat, lon float64) {
	cut := 1 + strings.IndexAny(position[1:], "+-")
	lat, _ = strconv.ParseFloat(position[:cut], 64)
	lon, _ = strconv.ParseFloat(position[cut:], 64)
	return lat, lon
}

// parseRadius returns the kilometres of s, digits[.digits] from 0 to limit.
func parseRadius(s []byte, limit int) (km float64, ok bool) {
	point, end, ok := decimal(s, 0)
	if !ok || end != len(s) || !atMost(s, 0, point, end, limit) {
		return 0, false
	}
	km, err := strconv.ParseFloat(string(s), 64)
	return km, err == nil
}

// parseBound returns the number s, digits from 0 to limit.
func parseBound(s []byte, limit int) (n int, ok bool) {
	end := digits(s, 0)
	if end == 0 || end != len(s) || !atMost(s, 0, end, end, limit) {
		return 0, false
	}
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n, true
}

// validSkew reports whether s is a sign, digits, a point and nine digits, in seconds.
func validSkew[T text](s T) bool {
	if len(s) == 0 || s[0] != '+' && s[0] != '-' {
		return false
	}
	point, end, ok := decimal(s, 1)
	return ok && end == len(s) && end == point+10
}

// parseSkew returns the nanoseconds of a valid skew, or the nearest int64.
func parseSkew(s string) int64 {
	whole, fraction, _ := strings.Cut(s[1:], ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	const rest = "854775807" // of MaxInt64
	if err != nil || seconds > maxSeconds || seconds == maxSeconds && fraction > rest {
		seconds, fraction = maxSeconds, rest
	}
	part, _ := strconv.ParseInt(fraction, 10, 64)
	nanos := seconds*nano + part
	if s[0] == '-' {
		return -nanos
	}
	return nanos
}

// appendSkew appends received − sent, both in nanoseconds since 1970 and sent not negative, as seconds with a
// sign, '+' for zero, and nine decimals.
func appendSkew(dst []byte, received, sent int64) []byte {
	sign, size := byte('+'), uint64(received)-uint64(sent) // modulo 2^64: the difference may exceed int64
	if received < sent {
		sign, size = '-', uint64(sent)-uint64(received)
	}
	dst = append(dst, sign)
	dst = strconv.AppendUint(dst, size/nano, 10)
	dst = append(dst, '.')
	fraction := size % nano
	for unit := uint64(nano / 10); unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+fraction/unit%10))
	}
	return dst
}
