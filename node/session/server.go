// Package session serves the clients of a node over TCP and TLS: it accepts connections, reads lines, and answers them in order.
//
//	Serve → accept → session → line.Parse → limits → Apply → reply
//
// # Ownership
//
// [Server.Serve] owns the listener and one goroutine for each connection, and one for each WHATSAT that is being answered. When it returns,
// all of them have ended. What a session needs of its node is in [Config], as functions; it knows neither links, nor store, nor traces.
//
// # How a session ends
//
// When its context ends, a session reads nothing more, answers the lines it has read within a second, and lets its client take the replies.
package session

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"herd/node/admit"
	"herd/node/line"
	"herd/places"
)

// Config is what a server of clients needs of its node. Only WaitForSync and Judged may be nil.
type Config struct {
	Node     line.NodeName // origin of what clients report here
	Listener net.Listener  // Serve closes it
	Admit    *admit.Controller
	Log      *zap.Logger

	// Apply applies reports received at now, and calls applied with each of them, in order, and with whether it changed what the node holds.
	Apply func(reports []line.Report, now time.Time, applied func(r line.Report, new bool))
	// Judged returns what the node's clock shows at now, by which receipts are stamped and limits.future is judged. Nil: now itself.
	Judged func(now time.Time) time.Time
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
	if c.Judged == nil {
		s.config.Judged = func(now time.Time) time.Time { return now }
	}
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
		// Accept the next client with the reserved descriptor, and close the connection, rather than let it hang. If the reserved descriptor can
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

const socketBuffer = 64 << 10 // bytes of a connection that the system keeps, in each direction

// reservedDescriptor is a file descriptor kept so that a connection can be accepted, and closed, when there are no others.
type reservedDescriptor struct{ file *os.File }

// acquire opens it unless it is open, and reports whether it is open now.
func (r *reservedDescriptor) acquire() bool {
	if r.file == nil {
		r.file, _ = os.Open(os.DevNull)
	}
	return r.file != nil
}

func (r *reservedDescriptor) release() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

func isOne(err error, of []syscall.Errno) bool {
	number, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(of, number)
}

// setSocketBuffers keeps the system from buffering megabytes for a client that sends more than it may or reads no replies: all connections
// share the system's memory for that. Connections inherit the sizes of the listener's socket, where they can be set.
func (s *Server) setSocketBuffers() {
	listener, ok := s.config.Listener.(syscall.Conn)
	if !ok {
		return
	}
	socket, err := listener.SyscallConn()
	if err != nil {
		return // it is closed, as Accept will say
	}
	_ = socket.Control(func(descriptor uintptr) {
		for _, option := range []int{syscall.SO_RCVBUF, syscall.SO_SNDBUF} {
			if err := syscall.SetsockoptInt(int(descriptor), syscall.SOL_SOCKET, option, socketBuffer); err != nil {
				s.config.Log.Warn("socket buffers keep their default size", zap.Error(err))
			}
		}
	})
}
