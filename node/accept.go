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

	socketBuffer = 64 << 10 // bytes of a connection that the system keeps, each way
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
	n.boundSockets()
	var spare spare
	defer spare.give()
	pause := minAcceptPause
	for {
		spare.take()
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
		// Refuse whoever waits, rather than let it hang, and leave the rest to better times. They have come already if the
		// spare descriptor can be had again: then nobody was waiting, and this client came long after.
		spare.give()
		if conn, err := n.Listener.Accept(); err == nil {
			if spare.take() {
				n.admit(ctx, conn, &sessions)
				continue
			}
			_ = conn.Close()
		}
		n.refusals.note(noDescriptors, "listener", func() zap.Field { return zap.Error(err) })
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
	sessions.Go(func() { newSession(n, conn, n.tls.Load(), host, sessions).run(ctx) })
}

// hostOf returns the address without port. Of IPv6 it is the network of 64 bits that one subscriber has: its addresses are
// too many to be counted one by one.
func hostOf(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if network, err := ip.Prefix(64); ip.Is6() && err == nil {
		return network.String()
	}
	return ip.String()
}

// boundSockets keeps the system from buffering megabytes for a client that sends more than it may or takes no replies: all connections
// share what the system has for that. They have the sizes of the listener's socket, where they can be set.
func (n *Node) boundSockets() {
	listener, ok := n.Listener.(syscall.Conn)
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
				n.Log.Warn("socket buffers left as they are", zap.Error(err))
			}
		}
	})
}

// spare is a file descriptor put by, to be able to accept, and so to refuse, when there are no others.
type spare struct{ file *os.File }

// take puts one by, if there is none yet, and reports whether there is one now. Without one a client waits.
func (s *spare) take() bool {
	if s.file == nil {
		s.file, _ = os.Open(os.DevNull)
	}
	return s.file != nil
}

func (s *spare) give() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}
