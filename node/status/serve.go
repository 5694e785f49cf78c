package status

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	maxConnections = 64          // at a time; most are needed for a moment
	maxStreams     = 32          // of them, that last
	lastTime       = time.Second // for answers to be taken when the server ends
)

// guest is a connection.
type guest struct {
	conn    net.Conn
	ends    context.Context // with the server
	streams bool            // it lasts, and is not ended for another
}

type guestKey struct{}

// crowd keeps the connections of a server to a number. A new one is always let in, and ends the oldest that is not a stream: so who
// holds many for long keeps nobody from asking how a node is, and who asks all the time ends no stream. There are fewer streams than
// connections, so that there is always one to be ended.
type crowd struct {
	limit int

	mu      sync.Mutex
	guests  []*guest // oldest first
	streams int
}

func newCrowd(limit int) *crowd { return &crowd{limit: limit} }

// came is for [http.Server.ConnContext].
func (c *crowd) came(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.guests) >= c.limit {
		if i := slices.IndexFunc(c.guests, func(g *guest) bool { return !g.streams }); i >= 0 {
			_ = c.guests[i].conn.Close()
			c.guests = slices.Delete(c.guests, i, i+1)
		}
	}
	g := &guest{conn: conn, ends: ctx}
	c.guests = append(c.guests, g)
	return context.WithValue(ctx, guestKey{}, g)
}

// changed is for [http.Server.ConnState].
func (c *crowd) changed(conn net.Conn, now http.ConnState) {
	if now != http.StateClosed && now != http.StateHijacked {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guests = slices.DeleteFunc(c.guests, func(g *guest) bool { return g.conn == conn })
}

// hold has a connection stay until release, if there are not too many streams.
func (c *crowd) hold(g *guest) (release func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams >= maxStreams {
		return nil, false
	}
	c.streams++
	g.streams = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.streams--
		g.streams = false
	}, true
}

// whole returns a context that ends with the server, and not, like that of a request, also when the client does or is slow.
func whole(r *http.Request) context.Context {
	if g, known := r.Context().Value(guestKey{}).(*guest); known {
		return g.ends
	}
	return r.Context()
}

// stream prepares an answer that lasts: it may take any time, and its connection is not ended in favour of others until release is called.
// If there are too many it says so to who asks, and ok is false. The request's context ends when the client is gone, or the server.
// Each write should have a deadline of its own: see [http.ResponseController].
func (s *Server) stream(w http.ResponseWriter, r *http.Request) (release func(), ok bool) {
	release = func() {}
	if g, known := r.Context().Value(guestKey{}).(*guest); known {
		if release, ok = s.crowd.hold(g); !ok {
			fail(w, http.StatusServiceUnavailable, "%d watch already; end one of them", maxStreams)
			return nil, false
		}
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // cannot be set in a test
	return release, true
}

// Serve answers who comes to a listener, until ctx ends or the listener fails; only then it returns an error. It returns when every
// answer has ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var answering sync.RWMutex // read-locked by each answer
	h := &http.Server{
		ErrorLog: s.Log,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answering.RLock()
			defer answering.RUnlock()
			s.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       s.crowd.came,
		ConnState:         s.crowd.changed,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
		defer cancel()
		if h.Shutdown(last) != nil {
			_ = h.Close()    // who does not take an answer loses it
			answering.Lock() // until all have noticed
			defer answering.Unlock()
		}
	})
	defer s.around.drop()
	err := h.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
