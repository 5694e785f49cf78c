//go:build lab

package lab

import (
	"bytes"
	"slices"
	"strconv"
	"testing"

	"herd/cmd/herd/internal/bench"
)

// echo is the protocol of a server that sends each line back. The lines are those of [bench.Herd] reports.
type echo struct{}

// Append makes a line.
func (echo) Append(dst []byte, r *bench.Request) []byte { return bench.Herd{}.Append(dst, r) }

// Reply expects the same line.
func (echo) Reply(in, request []byte) (int, bench.Outcome) {
	switch end := bytes.IndexByte(in, '\n'); {
	case bytes.HasPrefix(in, request):
		return len(request), bench.Done
	case end >= 0:
		return end + 1, bench.Wrong
	}
	return 0, bench.Incomplete
}

// geoAdd is Redis's protocol for reports to one key with GEOADD (redis.io/docs/latest/develop/reference/protocol-spec).
type geoAdd struct{ key string }

// Append makes a GEOADD, whose longitude comes first.
func (g geoAdd) Append(dst []byte, r *bench.Request) []byte {
	dst = append(dst, "*5\r\n$6\r\nGEOADD\r\n"...)
	dst = appendBulk(dst, g.key)
	dst = append(dst, "$11\r\n"...)
	dst = append(bench.AppendDegrees(dst, r.Lon, 3), "\r\n$10\r\n"...)
	dst = append(bench.AppendDegrees(dst, r.Lat, 2), "\r\n"...)
	return appendBulk(dst, r.Client)
}

// Reply expects the number of members added: 0 or 1.
func (geoAdd) Reply(in, _ []byte) (int, bench.Outcome) { return simple(in, ":0", ":1") }

// set is Redis's protocol for reports as one value of 48 bytes for each client, with SET.
type set struct{}

const valueSize = 48

// Append makes a SET of position and time, and dots that fill the value.
func (set) Append(dst []byte, r *bench.Request) []byte {
	dst = append(dst, "*3\r\n$3\r\nSET\r\n"...)
	dst = appendBulk(dst, r.Client)
	dst = append(dst, "$48\r\n"...)
	value := len(dst)
	dst = bench.AppendDegrees(dst, r.Lat, 2)
	dst = bench.AppendDegrees(dst, r.Lon, 3)
	dst = bench.AppendTime(append(dst, ' '), r.Nanos)
	dst = append(dst, "................"[:valueSize-(len(dst)-value)]...)
	return append(dst, "\r\n"...)
}

// Reply expects +OK.
func (set) Reply(in, _ []byte) (int, bench.Outcome) { return simple(in, "+OK") }

// appendBulk appends a bulk string of RESP.
func appendBulk[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = append(strconv.AppendInt(append(dst, '$'), int64(len(text)), 10), "\r\n"...)
	return append(append(dst, text...), "\r\n"...)
}

// simple understands a reply of RESP that is one line: one of these, or an error.
func simple(in []byte, wanted ...string) (int, bench.Outcome) {
	if len(in) > 0 && in[0] != '+' && in[0] != '-' && in[0] != ':' {
		return 0, bench.Broken
	}
	end := bytes.IndexByte(in, '\n')
	switch {
	case end < 0:
		return 0, bench.Incomplete
	case end == 0 || in[end-1] != '\r':
		return 0, bench.Broken
	case in[0] == '-':
		return end + 1, bench.Refused
	}
	if slices.Contains(wanted, string(in[:end-1])) {
		return end + 1, bench.Done
	}
	return end + 1, bench.Wrong
}

// A peer's protocol makes the request that it should, and finds a reply where it ends, whatever follows it.
func TestPeerProtocols(t *testing.T) {
	for _, p := range []struct {
		name     string
		protocol bench.Protocol
		request  string
		replies  map[string]bench.Outcome
	}{
		{"echo", echo{}, "IAMAT c0000007 -07.000001+118.445127 1520023934.918963997\n", map[string]bench.Outcome{
			"IAMAT c0000007 -07.000001+118.445127 1520023934.918963997\n": bench.Done,
			"IAMAT c0000008 -07.000001+118.445127 1520023934.918963997\n": bench.Wrong,
			"x": bench.Incomplete,
		}},
		{
			"geoadd",
			geoAdd{"herd"},
			"*5\r\n$6\r\nGEOADD\r\n$4\r\nherd\r\n$11\r\n+118.445127\r\n$10\r\n-07.000001\r\n$8\r\nc0000007\r\n",
			map[string]bench.Outcome{
				":0\r\n": bench.Done, ":1\r\n": bench.Done, ":2\r\n": bench.Wrong, "+OK\r\n": bench.Wrong, "-ERR syntax error\r\n": bench.Refused,
				":0\n": bench.Broken, "\n": bench.Broken, "AT ": bench.Broken, ":0": bench.Incomplete,
			},
		},
		{
			"set",
			set{},
			"*3\r\n$3\r\nSET\r\n$8\r\nc0000007\r\n$48\r\n-07.000001+118.445127 1520023934.918963997......\r\n",
			map[string]bench.Outcome{"+OK\r\n": bench.Done, "+QUEUED\r\n": bench.Wrong, "-OOM command not allowed\r\n": bench.Refused, "$-1\r\n": bench.Broken},
		},
	} {
		r := bench.Request{Client: []byte("c0000007"), Lat: -7_000_001, Lon: 118_445_127, Nanos: 1520023934918963997}
		if got := string(p.protocol.Append([]byte("before "), &r)); got != "before "+p.request {
			t.Errorf("%s: request %q, want %q", p.name, got, p.request)
		}
		for reply, want := range p.replies {
			size, more := len(reply), reply
			if want == bench.Incomplete || want == bench.Broken {
				size, more = 0, ""
			}
			if n, o := p.protocol.Reply([]byte(reply+more), []byte(p.request)); n != size || o != want {
				t.Errorf("%s: %q: %d bytes, outcome %d; want %d, %d", p.name, reply, n, o, size, want)
			}
			for cut := range size {
				if n, o := p.protocol.Reply([]byte(reply[:cut]), []byte(p.request)); n != 0 || o != bench.Incomplete {
					t.Errorf("%s: the first %d of %q: %d bytes, outcome %d", p.name, cut, reply, n, o)
				}
			}
		}
	}
}
