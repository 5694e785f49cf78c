package bus

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// socketProgress is what the system knows of the transfer on a socket.
type socketProgress struct {
	received     uint32 // segments with data that came in, in whatever order
	acknowledged uint64 // bytes that the other side has received
	waiting      bool   // bytes were written that are not acknowledged
}

// progressOf returns the progress of a socket, or false if the system does not tell.
func progressOf(raw syscall.RawConn) (p socketProgress, ok bool) {
	if raw == nil {
		return p, false
	}
	err := raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			p, ok = socketProgress{info.Data_segs_in, info.Bytes_acked, info.Unacked > 0 || info.Notsent_bytes > 0}, true
		}
	})
	return p, ok && err == nil
}

// limitUnsent has the system take at most so many bytes that it cannot send yet.
func limitUnsent(raw syscall.RawConn, bytes int) {
	_ = raw.Control(func(fd uintptr) { // if it fails, more reports wait where none can be replaced by a newer one
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
	})
}

// tryWrite writes what the system takes at once, and returns how much that was.
func tryWrite(raw syscall.RawConn, p []byte) (n int) {
	_ = raw.Write(func(fd uintptr) bool {
		n, _ = unix.Write(int(fd), p) // if it fails, so does the next write
		return true
	})
	return max(n, 0)
}
