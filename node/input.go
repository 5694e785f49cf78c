package node

import (
	"io"
	"net"
	"sync"
	"syscall"

	"herd/node/line"
)

// inputs are lent to connections to read into.
var inputs = sync.Pool{New: func() any { b := make([]byte, line.MinBuffer); return &b }}

// input reads a connection. It has a buffer only while there is something in it: a client that says nothing costs none.
type input struct {
	line.Reader
	conn   net.Conn
	lent   *[]byte         // nil while there is nothing to keep
	raw    syscall.RawConn // nil if the connection cannot be read without waiting
	try    func(descriptor uintptr) (done bool)
	source source // of try
	err    error  // of try
}

func newInput(conn net.Conn) *input {
	i := &input{conn: conn, raw: rawOf(conn)}
	i.try = func(descriptor uintptr) bool {
		i.borrow()
		i.source = source(descriptor)
		i.err = i.Fill(&i.source)
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
	if err := i.raw.Read(i.try); err != nil {
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

// giveBack returns the buffer, unless the beginning of a line is in it.
func (i *input) giveBack() {
	if i.lent != nil && i.Empty() {
		i.drop()
	}
}

// drop returns the buffer with whatever is in it.
func (i *input) drop() {
	if i.lent != nil {
		i.Lend(nil)
		inputs.Put(i.lent)
		i.lent = nil
	}
}

// source reads a file descriptor that does not block.
type source uintptr

func (s *source) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(*s), b)
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

// rawOf returns the connection's way to its descriptor; nil if what is read from it is not what the client sent.
func rawOf(conn net.Conn) syscall.RawConn {
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
