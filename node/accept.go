package node

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// accept serves clients until ctx ends or the listener fails, and until those it has accepted are served. Only a listener
// that failed is an error.
func (n *Node) accept(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { _ = n.Listener.Close() })
	var sessions sync.WaitGroup
	defer func() {
		end()
		sessions.Wait()
	}()
	spare := newSpare()
	defer spare.give()
	pause := minAcceptPause
	for {
		conn, err := n.Listener.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
			n.admit(ctx, conn, &sessions)
			continue
		case ctx.Err() != nil:
			return nil
		case isOne(err, ofConnection):
			continue
		case !isOne(err, ofExhaustion):
			return err
		}
		// Refuse whoever waits, rather than let it hang, and leave the rest to better times.
		n.refusals.note(noDescriptors, "listener", func() zap.Field { return zap.Error(err) })
		spare.give()
		if conn, err := n.Listener.Accept(); err == nil {
			_ = conn.Close()
		}
		spare.take()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxAcceptPause)
	}
}

// Errors of accept(2) that a listener survives: for want of something, or of a connection that was gone before it was accepted.
var (
	ofExhaustion = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
	ofConnection = []syscall.Errno{
		syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO, syscall.EPERM, syscall.ENETDOWN, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP,
	}
)

func isOne(err error, of []syscall.Errno) bool {
	number, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(of, number)
}

// admit starts a session, unless there are too many.
func (n *Node) admit(ctx context.Context, conn net.Conn, sessions *sync.WaitGroup) {
	host := hostOf(conn.RemoteAddr())
	limits := n.limits.Load()
	if why, ok := n.door.enter(host, limits.Connections, limits.PerAddress); !ok {
		n.refusals.note(why, host)
		_ = conn.Close()
		return
	}
	sessions.Go(func() { newSession(n, conn, host).run(ctx) })
}

// hostOf returns the address without port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// spare is a file descriptor put by, to be able to accept, and so to refuse, when there are no others.
type spare struct{ file *os.File }

func newSpare() *spare {
	s := new(spare)
	s.take()
	return s
}

func (s *spare) take() { s.file, _ = os.Open(os.DevNull) } // nil is no spare: a client waits

func (s *spare) give() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
