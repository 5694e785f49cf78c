package bench

import (
	"bytes"
	"fmt"
	"testing"
)

// protocols are what herd is sent, with a reply as it should be to the first of the requests below, and others.
var protocols = []struct {
	name     string
	protocol Protocol
	whatsAt  bool
	request  string
	replies  map[string]Outcome
}{
	{"herd reports", Herd{"10", "5"}, false, "IAMAT c0000007 -07.000001+118.445127 1520023934.918963997\n", map[string]Outcome{
		"AT Goloman +0.263873386 c0000007 -07.000001+118.445127 1520023934.918963997\n\n": Done,
		"AT Goloman -0.263873386 c0000007 -07.000001+118.445127 1520023934.918963997\n\n": Done,
		"AT Goloman +0.263873386 c0000008 -07.000001+118.445127 1520023934.918963997\n\n": Wrong,
		"AT Goloman +0.263873386 c0000007 -7.000001+118.445127 1520023934.918963997\n\n":  Wrong,
		"AT Goloman 0.263873386 c0000007 -07.000001+118.445127 1520023934.918963997\n\n":  Wrong,
		"AT c0000007 -07.000001+118.445127 1520023934.918963997\n\n":                      Wrong,
		"? IAMAT c0000007 -07.000001+118.445127 1520023934.918963997\n":                   Refused,
		"? IAMAT c0000008 -07.000001+118.445127 1520023934.918963997\n":                   Wrong,
		"AT Goloman +0.2 c0000007 -07.000001+118.445127 1520023934.918963997\nAT ":        Broken,
		"ERR\n": Broken,
		"-":     Broken,
		"":      Incomplete,
		"A":     Incomplete,
		"?":     Incomplete,
	}},
	{"herd whatsat", Herd{"10", "5"}, true, "WHATSAT c0000007 10 5\n", map[string]Outcome{
		"AT Goloman +0.2 c0000007 +1-1 1520023934\n{\n  \"results\": [],\n  \"status\": \"OK\"\n}\n\n":            Done,
		"AT Goloman +0.2 c0000007 +1-1 1520023934\n{\n  \"results\": [],\n  \"status\": \"ZERO_RESULTS\"\n}\n\n":  Done,
		"AT Goloman +0.2 c0000007 +1-1 1520023934\n{\n  \"results\": [],\n  \"status\": \"UNKNOWN_ERROR\"\n}\n\n": Refused,
		"AT Goloman +0.2 c0000008 +1-1 1520023934\n{\n  \"results\": [],\n  \"status\": \"OK\"\n}\n\n":            Wrong,
		"AT Goloman +0.2 c0000007 +1-1 1520023934\n\n":                                                            Wrong,
		"AT\n\n":                    Broken,
		"? WHATSAT c0000007 10 5\n": Refused,
		"? WHATSAT c0000007 10 6\n": Wrong,
	}},
}

func TestProtocols(t *testing.T) {
	for _, p := range protocols {
		r := Request{WhatsAt: p.whatsAt, Client: []byte("c0000007"), Lat: -7_000_001, Lon: 118_445_127, Nanos: 1520023934918963997}
		if got := string(p.protocol.Append([]byte("before "), &r)); got != "before "+p.request {
			t.Errorf("%s: request %q, want %q", p.name, got, p.request)
		}
		for reply, want := range p.replies {
			size := len(reply)
			if want == Incomplete || want == Broken {
				size = 0
			}
			more := ""
			if size > 0 {
				more = reply // the next reply does not matter
			}
			n, o := p.protocol.Reply([]byte(reply+more), []byte(p.request))
			if n != size || o != want {
				t.Errorf("%s: %q: %d bytes, outcome %d; want %d, %d", p.name, reply, n, o, size, want)
			}
		}
	}
}

func TestDigits(t *testing.T) {
	for _, c := range []struct {
		n      int64
		digits int
	}{{0, 1}, {0, 6}, {7, 1}, {7, 3}, {1234567, 7}, {99, 2}, {100, 3}, {1520023934, 10}, {918963997, 9}, {1, 9}} {
		if got, want := string(appendDigits([]byte("x"), c.n, c.digits)), fmt.Sprintf("x%0*d", c.digits, c.n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A reply is found at the same place whatever follows it, and nothing is found in a part of it.
func FuzzReply(f *testing.F) {
	for i, p := range protocols {
		for reply := range p.replies {
			f.Add(uint8(i), []byte(reply), []byte("AT x"))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, in, more []byte) {
		p := protocols[int(which)%len(protocols)]
		request := []byte(p.request)
		size, outcome := p.protocol.Reply(in, request)
		if size < 0 || size > len(in) || (size == 0) != (outcome == Incomplete || outcome == Broken) {
			t.Fatalf("%s: %q: %d bytes, outcome %d", p.name, in, size, outcome)
		}
		if size == 0 {
			return
		}
		if n, o := p.protocol.Reply(append(bytes.Clone(in), more...), request); n != size || o != outcome {
			t.Fatalf("%s: %q, then %q: %d bytes, outcome %d; alone %d, %d", p.name, in, more, n, o, size, outcome)
		}
		for cut := range size {
			if n, o := p.protocol.Reply(in[:cut], request); n != 0 || o != Incomplete {
				t.Fatalf("%s: the first %d of %q: %d bytes, outcome %d", p.name, cut, in, n, o)
			}
		}
	})
}
