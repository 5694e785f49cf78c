package status

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// maxReports is how many bytes of lines one request may have.
const maxReports = 16 << 20

// Reasons why [Source.Converse] does not answer all that is said.
var (
	ErrCertificates = errors.New("clients of this node need a certificate (tls.clients), and there is none over HTTP; report over TLS")
	ErrCrowded      = errors.New("too many clients are connected; come again later")
	ErrCut          = errors.New("not all was taken, for a limit was hit, as lines a second (limits.rate); send less at a time")
)

// herd adds what there is to know of all nodes.
func (s *Server) herd() {
	s.mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := query(w, r); ok {
			reply(w, http.StatusOK, s.Source.Herd())
		}
	})
	s.mux.HandleFunc("GET /api/v1/topology", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := query(w, r); ok {
			reply(w, http.StatusOK, graph(s.Source.Topology(), s.Node))
		}
	})
}

// reports adds /api/v1/reports: lines in, and out what a client is answered that says them over TCP.
func (s *Server) reports() {
	s.mux.HandleFunc("POST /api/v1/reports", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := query(w, r); !ok {
			return
		}
		if r.ContentLength > maxReports {
			fail(w, http.StatusRequestEntityTooLarge, "that is more than %d bytes of lines; send them in parts", maxReports)
			return
		}
		t, err := newTalk(w, r)
		if err != nil {
			fail(w, http.StatusInternalServerError, "no conversation can be had: %v", err)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Connection", "close") // limits are those of a connection
		err = s.Source.Converse(whole(r), t)
		_ = t.SetWriteDeadline(time.Now().Add(answerTime)) // for what is left to be said
		switch {
		case err == nil:
		case errors.Is(err, ErrCertificates):
			fail(w, http.StatusForbidden, "%v", err)
		case t.said:
			panic(http.ErrAbortHandler) // so that who reads what was said does not take it for all
		case t.tooLong:
			fail(w, http.StatusRequestEntityTooLarge, "that is more than %d bytes of lines; send them in parts", maxReports)
		case whole(r).Err() != nil:
			fail(w, http.StatusServiceUnavailable, "the node ends; ask another")
		default:
			fail(w, http.StatusTooManyRequests, "%v", err)
		}
	})
}

// talk is a connection whose client says what is in the body of a request, and hears the answer.
type talk struct {
	body     io.ReadCloser
	w        http.ResponseWriter
	control  *http.ResponseController
	from, to net.Addr
	said     bool // something was answered
	tooLong  bool // the body
	writing  atomic.Bool
	closed   atomic.Bool
}

func newTalk(w http.ResponseWriter, r *http.Request) (*talk, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	t := &talk{
		body: http.MaxBytesReader(w, r.Body, maxReports), w: w, control: http.NewResponseController(w),
		from: net.TCPAddrFromAddrPort(from), to: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local(r), 0)),
	}
	return t, t.control.EnableFullDuplex() // answers leave while there is more to read
}

// Read is of the body.
func (t *talk) Read(b []byte) (int, error) {
	if t.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := t.body.Read(b)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		t.tooLong = true
	}
	if errors.Is(err, io.EOF) {
		_ = t.control.SetReadDeadline(time.Time{}) // else the server takes its end for that of the client
	}
	return n, err
}

// Write is to the answer.
func (t *talk) Write(b []byte) (int, error) {
	t.writing.Store(true)
	defer t.writing.Store(false)
	if t.closed.Load() {
		return 0, net.ErrClosed
	}
	t.said = true
	n, err := t.w.Write(b)
	if err == nil {
		err = t.control.Flush()
	}
	return n, err
}

// Close ends what is under way, and all that is asked later. The request goes on to its end.
func (t *talk) Close() error {
	t.closed.Store(true)
	past := time.Unix(1, 0)
	if t.writing.Load() {
		_ = t.control.SetWriteDeadline(past)
	}
	return t.control.SetReadDeadline(past)
}

func (t *talk) LocalAddr() net.Addr  { return t.to }
func (t *talk) RemoteAddr() net.Addr { return t.from }

// SetDeadline sets both.
func (t *talk) SetDeadline(until time.Time) error {
	return errors.Join(t.SetReadDeadline(until), t.SetWriteDeadline(until))
}

// SetReadDeadline bounds reading.
func (t *talk) SetReadDeadline(until time.Time) error {
	if t.closed.Load() {
		return os.ErrClosed
	}
	return t.control.SetReadDeadline(until)
}

// SetWriteDeadline bounds writing.
func (t *talk) SetWriteDeadline(until time.Time) error { return t.control.SetWriteDeadline(until) }
