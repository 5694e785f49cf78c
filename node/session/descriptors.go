package session

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"go.uber.org/zap"
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
