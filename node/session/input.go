package session

import (
	"io"
	"net"
	"sync"
	"syscall"

	"herd/node/line"
)

// inputs are lent to connections to read into.
var inputs = sync.Pool{New: func() any { b := make([]byte, line.MinBuffer); return &b }}

// input reads a connection. It has a buffer only while there is something in it, so that a silent client costs none.
type input struct {
	line.Reader
	conn net.Conn
	lent *[]byte         // nil while there is nothing to keep
	raw  syscall.RawConn // nil: the connection cannot be read without waiting, and the buffer is kept while it waits

	read       func(descriptor uintptr) (done bool) // reads once, or gives the buffer back if there is nothing to read
	descriptor descriptor                           // that read reads
	err        error                                // that read met
}

func newInput(conn net.Conn) *input {
	i := &input{conn: conn, raw: rawConn(conn)}
	i.read = func(d uintptr) bool {
		i.borrow()
		i.descriptor = descriptor(d)
		i.err = i.Fill(&i.descriptor)
		if i.err == syscall.EAGAIN {
			i.giveBack()
			return false
		}
		return true
	}
	return i
}

// fill waits until there is something to read, and reads once.
func (i *input) fill() error {
	if i.raw == nil {
		i.borrow()
		return i.Fill(i.conn)
	}
	if err := i.raw.Read(i.read); err != nil {
		return err
	}
	return i.err
}

func (i *input) borrow() {
	if i.lent == nil {
		i.lent = inputs.Get().(*[]byte)
		i.Lend(*i.lent)
	}
}

// giveBack returns the buffer, unless an incomplete line is in it.
func (i *input) giveBack() {
	if i.Empty() {
		i.discard()
	}
}

// discard returns the buffer with whatever is in it.
func (i *input) discard() {
	if i.lent != nil {
		i.Lend(nil)
		inputs.Put(i.lent)
		i.lent = nil
	}
}

// descriptor is a file descriptor that does not block.
type descriptor uintptr

func (d *descriptor) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(*d), b)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// rawConn gives access to a connection's descriptor; it is nil if what is read from that is not what the client sent.
func rawConn(conn net.Conn) syscall.RawConn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
