package node

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/session/sessiontest"
	"herd/places"
)

// httpNode is a node that is looked at over HTTP.
type httpNode struct {
	*tcpNode
	url string
}

func startHTTP(t *testing.T, adjust ...func(*Config)) httpNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return httpNode{startTCP(t, append(adjust, func(c *Config) { c.HTTP = l })...), "http://" + l.Addr().String()}
}

// request returns the code of an answer and its text, up to where it ended, and how.
func (l httpNode) request(t *testing.T, method, path string, body io.Reader) (code int, text string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, l.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(all), err
}

// What is posted gets what a client over TCP would get that says the same, in all its cases.
func TestReportsAsOverTCP(t *testing.T) {
	n := startHTTP(t, func(c *Config) { c.Places = fixedFinder{} })
	for _, lines := range []string{
		"", "\n", "IAMAT a +1+2 1\n", "IAMAT a +1+2 1\nWHATSAT a 10 1\nIAMAT b +3+4 2\njunk\n", "WHATSAT a 0 0", "IAMAT a +1+2 1\nno LF",
		strings.Repeat("x", 5000) + "\nIAMAT a +1+2 1\n", strings.Repeat("IAMAT a +1+2 1\n", 20_000), "\xff\x00\n\r\n",
		strings.Repeat("WHATSAT a 10 1\n", 40),
	} {
		client := sessiontest.Dial(t, n.address)
		client.Send("IAMAT a +34.068930-118.445127 1520023934.918963997\n") // so that all others are stale
		client.Send("IAMAT b +34.068930-118.445127 1520023934.918963997\n")
		client.Paragraph()
		client.Paragraph()
		go func() {
			_, _ = io.WriteString(client.Conn, lines)
			_ = client.Conn.(*net.TCPConn).CloseWrite()
		}()
		want, err := io.ReadAll(client.In)
		if err != nil {
			t.Fatal(err)
		}
		for name, body := range map[string]io.Reader{"of known length": strings.NewReader(lines), "in chunks": io.MultiReader(strings.NewReader(lines))} {
			code, got, err := n.request(t, "POST", "/api/v1/reports", body)
			// A client over TCP gets another time of receipt.
			if got, want := withoutSkew(got), withoutSkew(string(want)); code != 200 || err != nil || got != want {
				t.Errorf("%.60q %s: %d, %v: got %d bytes %.300q, want %d bytes %.300q", lines, name, code, err, len(got), got, len(want), want)
			}
		}
	}
}

// fixedFinder is a provider that finds one place.
type fixedFinder struct{}

func (fixedFinder) Find(_ context.Context, q places.Query) (places.Answer, error) {
	return places.Answer{Results: []places.Place{{Name: "here", Geometry: places.Geometry{Location: q.At}}}}, nil
}

// withoutSkew leaves out what no two answers to an IAMAT have in common.
func withoutSkew(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if f := strings.Split(l, " "); f[0] == "AT" && len(f) == 6 {
			f[2] = "*"
			lines[i] = strings.Join(f, " ")
		}
	}
	return strings.Join(lines, "\n")
}

// startReporting begins to report with the line first: in takes more, the answers are in what is read.
func startReporting(t *testing.T, url string) (in *io.PipeWriter, answer *http.Response) {
	t.Helper()
	out, in := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url+"/api/v1/reports", out)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(in, "first\n") }()
	if answer, err = http.DefaultClient.Do(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return in, answer
}

// Answers leave while a client still reports.
func TestReportsStream(t *testing.T) {
	n := startHTTP(t)
	in, answer := startReporting(t, n.url)
	for _, l := range []string{"first", "second", "third"} {
		got := make([]byte, len("? "+l+"\n"))
		if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != "? "+l+"\n" {
			t.Fatalf("%q, %v", got, err)
		}
		if l != "third" {
			next := map[string]string{"first": "second", "second": "third"}[l]
			_, _ = io.WriteString(in, next+"\n")
		}
	}
	_ = in.Close()
	if rest, err := io.ReadAll(answer.Body); len(rest) > 0 || err != nil {
		t.Errorf("then %q, %v", rest, err)
	}
}

// The limits of clients hold for those that come over HTTP.
func TestReportsLimits(t *testing.T) {
	refused := func(n httpNode, why string) uint64 { return n.Health().Refused[why] }
	t.Run("lines a second", func(t *testing.T) {
		n := startHTTP(t, func(c *Config) { c.Limits.Rate = 3 })
		code, text, err := n.request(t, "POST", "/api/v1/reports", strings.NewReader(strings.Repeat("x\n", 100)))
		if code != 200 || text != "? x\n? x\n? x\n" || err == nil {
			t.Errorf("%d %q %v", code, text, err)
		}
		if got := refused(n, "too many lines a second"); got != 1 {
			t.Errorf("refused %v", n.Health().Refused)
		}
	})
	t.Run("time for a line", func(t *testing.T) {
		n := startHTTP(t, func(c *Config) { c.Limits.Line = time.Millisecond })
		out, in := io.Pipe()
		defer in.Close()
		go func() { _, _ = io.WriteString(in, "half a line") }()
		code, text, err := n.request(t, "POST", "/api/v1/reports", out)
		if code != 429 || err != nil || !strings.Contains(text, "because of a limit") || refused(n, "line not completed in time") != 1 {
			t.Errorf("%d %q %v %v", code, text, err, n.Health().Refused)
		}
	})
	t.Run("future and new clients", func(t *testing.T) {
		n := startHTTP(t, func(c *Config) { c.Limits.Future, c.Limits.NewClients = time.Hour, 2 })
		_, text, _ := n.request(t, "POST", "/api/v1/reports", strings.NewReader("IAMAT a +1+2 9000000000\nIAMAT a +1+2 1\nIAMAT b +1+2 1\n"))
		_, more, _ := n.request(t, "POST", "/api/v1/reports", strings.NewReader("IAMAT c +1+2 1\nIAMAT a +1+2 2\n"))
		if got, want := withoutSkew(text+more), "? IAMAT a +1+2 9000000000\nAT Goloman * a +1+2 1\n\nAT Goloman * b +1+2 1\n\n? IAMAT c +1+2 1\nAT Goloman * a +1+2 2\n\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("connections from an address", func(t *testing.T) {
		n := startHTTP(t, func(c *Config) { c.Limits.PerAddress = 1 })
		c := sessiontest.Dial(t, n.address)
		c.Send("x\n")
		c.Bytes(len("? x\n"))
		code, text, _ := n.request(t, "POST", "/api/v1/reports", strings.NewReader("x\n"))
		if code != 429 || !strings.Contains(text, "too many clients") || refused(n, "too many connections from one address") != 1 {
			t.Errorf("%d %q %v", code, text, n.Health().Refused)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		n := startHTTP(t)
		code, text, err := n.request(t, "POST", "/api/v1/reports", strings.NewReader(strings.Repeat("x", 16<<20+1)))
		if code != 413 || err != nil || !strings.Contains(text, "send them in parts") {
			t.Errorf("%d %q %v", code, text, err)
		}
	})
	t.Run("certificates", func(t *testing.T) {
		ca := sessiontest.NewCA(t, "CA", nil)
		n := startHTTP(t, func(c *Config) { c.TLS = serverTLS(t, ca, ca) })
		code, text, _ := n.request(t, "POST", "/api/v1/reports", strings.NewReader("IAMAT a +1+2 1\n"))
		if code != 403 || !strings.Contains(text, "need a certificate") || n.Registry().Len() != 0 {
			t.Errorf("%d %q, %d clients", code, text, n.Registry().Len())
		}
	})
}

// A node that ends answers what it has read, and waits for that.
func TestReportsAtTheEnd(t *testing.T) {
	n := startHTTP(t)
	in, answer := startReporting(t, n.url)
	n.stop()
	if got, err := io.ReadAll(answer.Body); string(got) != "? first\n" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = in.Close()
}

// A node that is not ready says what it lacks.
func TestMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(Config{Name: "Goloman", Topology: starTopology(t, "Goloman", "Hands"), Bus: unreachableBus{}, Log: zapNop})
		if got, want := n.Health().Missing, []string{"the bus: not yet connected"}; !slices.Equal(got, want) {
			t.Errorf("at first %q, want %q", got, want)
		}
		n.links.state.Store(connected)
		n.engine.Connect(time.Now())
		if got, want := n.Health().Missing, []string{"a heartbeat of Hands"}; !slices.Equal(got, want) {
			t.Errorf("connected %q, want %q", got, want)
		}
		time.Sleep(4 * time.Second)
		if got := n.Health().Missing; got != nil {
			t.Errorf("after a while %q", got)
		}
	})
}
