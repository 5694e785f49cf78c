package session

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"herd/node/admit"
	"herd/node/line"
	"herd/places"
)

// Config is what a server of clients needs of its node. Only WaitForSync may be nil.
type Config struct {
	Node     line.NodeName // origin of what clients report here
	Listener net.Listener  // Serve closes it
	Admit    *admit.Controller
	Log      *zap.Logger

	// Apply applies reports received at now, and calls applied with each of them, in order, and with whether it changed what the node holds.
	Apply func(reports []line.Report, now time.Time, applied func(r line.Report, new bool))
	// Lookup returns the report that the node holds of a client.
	Lookup func(client line.ClientID) (r line.Report, known bool)
	// WaitForSync returns when everything applied before is on disk, or why it never will be. Nil: clients need not wait for that.
	WaitForSync func() error
	// Nearby answers a WHATSAT: with the bytes after the AT line, a status of package places, and the number of places.
	Nearby func(ctx context.Context, q places.Query) (body []byte, status string, results int)
	// ObserveLag is called with the seconds from a client's time to the receipt of its report, for one of the reports read together.
	ObserveLag func(seconds float64)
}

// Reasons why [Server.ServeConn] does not answer everything.
var (
	ErrCertificateRequired = errors.New("clients need a certificate")
	ErrTooMany             = errors.New("too many clients are connected; try again later")
	ErrIncomplete          = errors.New("some lines were not read, because of a limit such as limits.rate; send fewer at a time")
)

// Server serves the clients of one node.
type Server struct {
	config   Config
	tls      atomic.Pointer[TLS] // of connections to come
	counters counters
}

// New returns a server that speaks TLS with those who connect to its listener, or plain TCP if t is nil.
func New(c Config, t *TLS) *Server {
	s := &Server{config: c}
	s.tls.Store(t)
	return s
}

// SetTLS has connections to come use t; those that are open stay as they are. Whether there is TLS at all cannot change while the
// server runs: its clients could not know which of the two to speak.
func (s *Server) SetTLS(t *TLS) error {
	if (t == nil) != (s.tls.Load() == nil) {
		return errors.New("TLS on the client port can only be turned on or off by a restart")
	}
	s.tls.Store(t)
	return nil
}

const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// Serve serves clients until ctx ends or the listener fails, and until those that it has accepted are served. Only a listener
// that failed is an error.
func (s *Server) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { _ = s.config.Listener.Close() })
	var sessions sync.WaitGroup
	defer func() {
		stop()
		sessions.Wait()
	}()
	s.setSocketBuffers()
	var reserved reservedDescriptor
	defer reserved.release()
	pause := minAcceptPause
	for {
		reserved.acquire()
		conn, err := s.config.Listener.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
			s.start(ctx, conn, &sessions)
			continue
		case ctx.Err() != nil:
			return nil
		case isOne(err, connectionErrors):
			continue
		case !isOne(err, exhaustionErrors):
			return err
		}
		// Accept with the reserved descriptor whoever waits, and close the connection, rather than let it hang. If the reserved descriptor can
		// be acquired again, this client came only after others were free, and is served.
		reserved.release()
		if conn, err := s.config.Listener.Accept(); err == nil {
			if reserved.acquire() {
				s.start(ctx, conn, &sessions)
				continue
			}
			_ = conn.Close()
		}
		s.config.Admit.Refuse(admit.NoDescriptors, "listener", errorDetail(err))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxAcceptPause)
	}
}

// start starts a session, unless there are too many.
func (s *Server) start(ctx context.Context, conn net.Conn, sessions *sync.WaitGroup) {
	address := admit.Address(conn.RemoteAddr())
	if !s.config.Admit.Connect(address) {
		_ = conn.Close()
		return
	}
	sessions.Go(func() { newSession(s, conn, s.tls.Load(), address, sessions).run(ctx) })
}

// ServeConn serves a client on a connection that did not come through the listener, until the client is done or ctx ends, within the same
// limits. Where clients need certificates it refuses, since on such a connection there are none.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn) error {
	if s.tls.Load().requiresCertificates() {
		return ErrCertificateRequired
	}
	address := admit.Address(conn.RemoteAddr())
	if !s.config.Admit.Connect(address) {
		return ErrTooMany
	}
	var tasks sync.WaitGroup
	one := newSession(s, conn, nil, address, &tasks)
	one.silence.noPark = true // a body that was not there in time cannot be read further
	one.run(ctx)
	tasks.Wait()
	if !errors.Is(one.lifetime.err, io.EOF) {
		return ErrIncomplete
	}
	return nil
}

// Errors of accept(2) that a listener survives: descriptors or memory are exhausted, or the connection was gone before it was accepted.
var (
	exhaustionErrors = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
	connectionErrors = []syscall.Errno{
		syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO, syscall.EPERM, syscall.ENETDOWN, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP,
	}
)
