package status

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// serve runs a server until the test ends, or stop is called, which returns what Serve does.
func serve(t *testing.T, s *Server) (address string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

type testConn struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address string) *testConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &testConn{c, bufio.NewReader(c)}
}

// get sends a request, and returns the code of the answer, or 0 if the testConn is ended.
func (c *testConn) get(t *testing.T, path string) int {
	t.Helper()
	_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0
	}
	if path != "/stream" {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return r.StatusCode
}

// A client that holds many connections does not keep others from the health, and ends no stream; streams are bounded, and end with the server.
func TestPool(t *testing.T) {
	s := New(Config{Source: &fixedSource{health: &Health{}}})
	s.mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		release, ok := s.stream(w, r)
		if !ok {
			return
		}
		defer release()
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		_, _ = io.WriteString(w, "end")
	})
	address, stop := serve(t, s)
	var streams, idle []*testConn
	for range maxStreams {
		streams = append(streams, dial(t, address))
		if code := streams[len(streams)-1].get(t, "/stream"); code != 200 {
			t.Fatalf("a stream says %d", code)
		}
	}
	late := dial(t, address)
	if code := late.get(t, "/stream"); code != 503 {
		t.Errorf("one stream too many says %d", code)
	}
	for range maxConnections {
		idle = append(idle, dial(t, address))
	}
	if code := idle[len(idle)-1].get(t, "/healthz"); code != 200 {
		t.Errorf("the newest gets %d", code)
	}
	if code := late.get(t, "/healthz"); code != 0 {
		t.Errorf("the oldest that is no stream gets %d", code)
	}
	for i, c := range idle[:maxConnections-maxStreams] {
		if b, err := c.in.ReadByte(); err == nil {
			t.Errorf("idle testConn %d gets %q", i, b)
		}
	}
	_ = streams[0].Close()
	again := dial(t, address)
	for again.get(t, "/stream") != 200 { // as soon as the server has noticed
		if t.Context().Err() != nil {
			t.Fatal("no stream in the place of another")
		}
	}
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	for i, c := range streams[1:] {
		if b, err := io.ReadAll(c.in); string(b) != "3\r\nend\r\n0\r\n\r\n" || err != nil {
			t.Errorf("stream %d ends with %q, %v", i, b, err)
		}
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.pool.streams != 0 {
		t.Errorf("%d streams in the end", s.pool.streams)
	}
}

// Serve returns when every handler has, also one that goes on after its connection was closed.
func TestServeWaitsForHandlers(t *testing.T) {
	s := New(Config{Source: &fixedSource{health: &Health{}}})
	started, release := make(chan struct{}), make(chan struct{})
	s.mux.HandleFunc("GET /slow", func(http.ResponseWriter, *http.Request) {
		close(started)
		<-release
	})
	address, stop := serve(t, s)
	c := dial(t, address)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-started
		_ = stop()
	}()
	if code := c.get(t, "/slow"); code != 0 {
		t.Errorf("a handler that does not return answers %d", code)
	}
	select {
	case <-ended:
		t.Error("Serve does not wait for a handler")
	case <-time.After(50 * time.Millisecond): // for one that does not wait
	}
	close(release)
	<-ended
}
