//go:build !linux

package bus

import "syscall"

// socketProgress is what the system knows of the transfer on a socket.
type socketProgress struct {
	received     uint32
	acknowledged uint64
	waiting      bool
}

func progressOf(syscall.RawConn) (p socketProgress, ok bool) { return p, false }

func limitUnsent(syscall.RawConn, int) {}

func tryWrite(syscall.RawConn, []byte) int { return 0 }
