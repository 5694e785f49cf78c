package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const maxHTTP = 64 // connections; who asks for health needs one, for a moment

// crowded keeps the connections of an HTTP server to a number: a newer one ends the oldest, so that who holds many for long keeps
// nobody out.
type crowded struct {
	limit int

	mu    sync.Mutex
	conns []net.Conn // oldest first
}

// changed is for [http.Server.ConnState].
func (c *crowded) changed(conn net.Conn, now http.ConnState) {
	switch now {
	case http.StateNew:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.conns = append(c.conns, conn); len(c.conns) > c.limit {
			_ = c.conns[0].Close()
			c.conns = slices.Delete(c.conns, 0, 1)
		}
	case http.StateClosed, http.StateHijacked:
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.conns, conn); i >= 0 {
			c.conns = slices.Delete(c.conns, i, i+1)
		}
	}
}

// serveHTTP serves until ctx ends or the listener fails; only then it returns an error.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log *zap.Logger) error {
	complaints, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		return err
	}
	s := &http.Server{
		ErrorLog:          complaints,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	s.ConnState = (&crowded{limit: maxHTTP}).changed
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if s.Shutdown(last) != nil {
			_ = s.Close() // who does not take an answer loses it
		}
	})
	err = s.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
