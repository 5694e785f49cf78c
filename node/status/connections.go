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
	maxStreams     = 32          // connections that last
	drainTime      = time.Second // for answers to be read when the server stops
)

// connection is one of a pool.
type connection struct {
	conn     net.Conn
	ctx      context.Context // ends with the server
	isStream bool            // it lasts, and is not closed for another
}

type connectionKey struct{}

// pool keeps the connections of a server to a number. A new one is always accepted, and closes the oldest that is not a stream: so a client
// that holds many does not keep others from polling the health, and polling closes no stream. There are fewer streams than connections, so one
// can always be closed.
type pool struct {
	limit int

	mu          sync.Mutex
	connections []*connection // oldest first
	streams     int
}

func newPool(limit int) *pool { return &pool{limit: limit} }

// add is for [http.Server.ConnContext].
func (p *pool) add(ctx context.Context, conn net.Conn) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.connections) >= p.limit {
		if i := slices.IndexFunc(p.connections, func(c *connection) bool { return !c.isStream }); i >= 0 {
			_ = p.connections[i].conn.Close()
			p.connections = slices.Delete(p.connections, i, i+1)
		}
	}
	c := &connection{conn: conn, ctx: ctx}
	p.connections = append(p.connections, c)
	return context.WithValue(ctx, connectionKey{}, c)
}

// changed is for [http.Server.ConnState].
func (p *pool) changed(conn net.Conn, now http.ConnState) {
	if now != http.StateClosed && now != http.StateHijacked {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connections = slices.DeleteFunc(p.connections, func(c *connection) bool { return c.conn == conn })
}

// hold makes a connection a stream until release, unless there are too many.
func (p *pool) hold(c *connection) (release func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams >= maxStreams {
		return nil, false
	}
	p.streams++
	c.isStream = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.streams--
		c.isStream = false
	}, true
}

// serverContext returns a context that ends with the server. That of a request ends also when the client goes, or is slow.
func serverContext(r *http.Request) context.Context {
	if c, known := r.Context().Value(connectionKey{}).(*connection); known {
		return c.ctx
	}
	return r.Context()
}

// stream prepares an answer that lasts: it may take any time, and its connection is not closed for others until release is called. If there
// are too many streams it answers the request, and ok is false. The request's context ends when the client is gone, or the server.
// Each write should have a deadline of its own: see [http.ResponseController].
func (s *Server) stream(w http.ResponseWriter, r *http.Request) (release func(), ok bool) {
	release = func() {}
	if c, known := r.Context().Value(connectionKey{}).(*connection); known {
		if release, ok = s.pool.hold(c); !ok {
			fail(w, http.StatusServiceUnavailable, "there are %d streams already; close one of them", maxStreams)
			return nil, false
		}
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // cannot be set in a test
	return release, true
}

// Serve answers the requests that a listener accepts, until ctx ends or the listener fails; only then it returns an error. It returns when
// every answer has ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var answering sync.RWMutex // read-locked by each answer
	h := &http.Server{
		ErrorLog: s.config.Log,
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
		ConnContext:       s.pool.add,
		ConnState:         s.pool.changed,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if h.Shutdown(drain) != nil {
			_ = h.Close()    // clients that do not read their answer lose it
			answering.Lock() // until all handlers have returned
			defer answering.Unlock()
		}
	})
	defer s.nearest.release()
	err := h.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
