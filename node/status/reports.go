package status

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync/atomic"
	"time"
)

const maxReports = 16 << 20 // bytes of lines in one request

// ErrCertificates is why [Source.ServeClient] answers no line where clients need a certificate.
var ErrCertificates = errors.New("clients of this node need a certificate (tls.clients), which HTTP does not carry; report over TLS")

// addReports adds /api/v1/reports: the body is lines of the client protocol, the answer the replies that they get over TCP.
func (s *Server) addReports() {
	s.mux.query("POST /api/v1/reports", nil, func(w http.ResponseWriter, r *http.Request, _ url.Values) {
		if r.ContentLength > maxReports {
			fail(w, http.StatusRequestEntityTooLarge, "that is more than %d bytes of lines; send them in parts", maxReports)
			return
		}
		c, err := newHTTPConn(w, r)
		if err != nil {
			fail(w, http.StatusInternalServerError, "the request cannot be read while it is answered: %v", err)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Connection", "close") // limits are those of a connection
		err = s.config.Source.ServeClient(serverContext(r), c)
		_ = c.SetWriteDeadline(time.Now().Add(answerTime)) // for the rest of the answer
		switch {
		case err == nil:
		case errors.Is(err, ErrCertificates):
			fail(w, http.StatusForbidden, "%v", err)
		case c.answered:
			panic(http.ErrAbortHandler) // so that the client does not take the replies for all
		case c.tooLong:
			fail(w, http.StatusRequestEntityTooLarge, "that is more than %d bytes of lines; send them in parts", maxReports)
		case serverContext(r).Err() != nil:
			fail(w, http.StatusServiceUnavailable, "the node stops; use another")
		default:
			fail(w, http.StatusTooManyRequests, "%v", err)
		}
	})
}

// httpConn is the connection of a client whose input is the body of a request, and whose replies are the answer.
type httpConn struct {
	body     io.ReadCloser
	w        http.ResponseWriter
	control  *http.ResponseController
	from, to net.Addr
	answered bool // some of the answer was written
	tooLong  bool // the body exceeds maxReports
	writing  atomic.Bool
	closed   atomic.Bool
}

func newHTTPConn(w http.ResponseWriter, r *http.Request) (*httpConn, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	c := &httpConn{
		body: http.MaxBytesReader(w, r.Body, maxReports), w: w, control: http.NewResponseController(w),
		from: net.TCPAddrFromAddrPort(from), to: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local(r), 0)),
	}
	return c, c.control.EnableFullDuplex() // replies are written while there is more to read
}

// Read reads the body.
func (c *httpConn) Read(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.body.Read(b)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		c.tooLong = true
	}
	if errors.Is(err, io.EOF) {
		_ = c.control.SetReadDeadline(time.Time{}) // else net/http takes the deadline of the body for the end of the client
	}
	return n, err
}

// Write writes to the answer.
func (c *httpConn) Write(b []byte) (int, error) {
	c.writing.Store(true)
	defer c.writing.Store(false)
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	c.answered = true
	n, err := c.w.Write(b)
	if err == nil {
		err = c.control.Flush()
	}
	return n, err
}

// Close ends reads and writes, those in flight too. The request ends with its handler.
func (c *httpConn) Close() error {
	c.closed.Store(true)
	past := time.Unix(1, 0)
	if c.writing.Load() {
		_ = c.control.SetWriteDeadline(past)
	}
	return c.control.SetReadDeadline(past)
}

func (c *httpConn) LocalAddr() net.Addr  { return c.to }
func (c *httpConn) RemoteAddr() net.Addr { return c.from }

// SetDeadline sets the deadlines of reads and writes.
func (c *httpConn) SetDeadline(until time.Time) error {
	return errors.Join(c.SetReadDeadline(until), c.SetWriteDeadline(until))
}

// SetReadDeadline sets the deadline of reads.
func (c *httpConn) SetReadDeadline(until time.Time) error {
	if c.closed.Load() {
		return os.ErrClosed
	}
	return c.control.SetReadDeadline(until)
}

// SetWriteDeadline sets the deadline of writes.
func (c *httpConn) SetWriteDeadline(until time.Time) error { return c.control.SetWriteDeadline(until) }
