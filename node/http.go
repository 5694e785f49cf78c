package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

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
	}
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
