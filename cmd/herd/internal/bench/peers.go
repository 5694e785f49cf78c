package bench

import (
	"bytes"
	"slices"
)

// Echo is the protocol of a server that sends each line back. The lines are those of [Herd] reports.
type Echo struct{}

// Append makes a line.
func (Echo) Append(dst []byte, r *Request) []byte { return appendIAmAt(dst, r) }

// Reply expects the same line.
func (Echo) Reply(in, request []byte) (int, Outcome) {
	switch end := bytes.IndexByte(in, '\n'); {
	case bytes.HasPrefix(in, request):
		return len(request), Done
	case end >= 0:
		return end + 1, Wrong
	}
	return 0, Incomplete
}

// GeoAdd is Redis's protocol for reports to one key with GEOADD (redis.io/docs/latest/develop/reference/protocol-spec).
type GeoAdd struct{ Key string }

// Append makes a GEOADD, whose longitude comes first.
func (g GeoAdd) Append(dst []byte, r *Request) []byte {
	dst = append(dst, "*5\r\n$6\r\nGEOADD\r\n"...)
	dst = appendBulk(dst, g.Key)
	dst = append(dst, "$11\r\n"...)
	dst = append(appendDegrees(dst, r.Lon, 3), "\r\n$10\r\n"...)
	dst = append(appendDegrees(dst, r.Lat, 2), "\r\n"...)
	return appendBulk(dst, r.Client)
}

// Reply expects the number of members added: 0 or 1.
func (GeoAdd) Reply(in, _ []byte) (int, Outcome) { return simple(in, ":0", ":1") }

// Set is Redis's protocol for reports as one value of 48 bytes for each client, with SET.
type Set struct{}

const valueSize = 48

// Append makes a SET of position and time, and dots that fill the value.
func (Set) Append(dst []byte, r *Request) []byte {
	dst = append(dst, "*3\r\n$3\r\nSET\r\n"...)
	dst = appendBulk(dst, r.Client)
	dst = append(dst, "$48\r\n"...)
	value := len(dst)
	dst = appendDegrees(dst, r.Lat, 2)
	dst = appendDegrees(dst, r.Lon, 3)
	dst = appendTime(append(dst, ' '), r.Nanos)
	dst = append(dst, "................"[:valueSize-(len(dst)-value)]...)
	return append(dst, "\r\n"...)
}

// Reply expects +OK.
func (Set) Reply(in, _ []byte) (int, Outcome) { return simple(in, "+OK") }

// appendBulk appends a bulk string of RESP.
func appendBulk[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = append(dst, '$')
	digits := 1
	for n := len(text); n >= 10; n /= 10 {
		digits++
	}
	dst = append(appendDigits(dst, int64(len(text)), digits), "\r\n"...)
	return append(append(dst, text...), "\r\n"...)
}

// simple understands a reply of RESP that is one line: one of these, or an error.
func simple(in []byte, wanted ...string) (int, Outcome) {
	if len(in) > 0 && in[0] != '+' && in[0] != '-' && in[0] != ':' {
		return 0, Broken
	}
	end := bytes.IndexByte(in, '\n')
	switch {
	case end < 0:
		return 0, Incomplete
	case end == 0 || in[end-1] != '\r':
		return 0, Broken
	case in[0] == '-':
		return end + 1, Refused
	}
	if slices.Contains(wanted, string(in[:end-1])) {
		return end + 1, Done
	}
	return end + 1, Wrong
}
