package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

// herd runs a command to its end, in this process.
func herd(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, nil, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// running is a command that runs in this process, whose output is read as it comes.
type running struct {
	t              *testing.T
	stdout, stderr *bufio.Reader
	stop           func()
	code           chan int
}

func start(t *testing.T, stdin io.Reader, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	outReader, out := io.Pipe()
	errReader, err := io.Pipe()
	r := &running{t, bufio.NewReader(outReader), bufio.NewReader(errReader), stop, make(chan int, 1)}
	go func() {
		r.code <- run(ctx, args, nil, stdin, out, err)
		_ = out.Close()
		_ = err.Close()
	}()
	t.Cleanup(func() {
		stop()
		_ = outReader.Close() // what the command still prints goes nowhere
		_ = errReader.Close()
	})
	return r
}

// next returns the next line of stdout or stderr.
func (r *running) next(from *bufio.Reader) string {
	r.t.Helper()
	l, err := from.ReadString('\n')
	if err != nil {
		r.t.Fatalf("after %q: %v", l, err)
	}
	return l
}

// remaining returns what is left of stdout and stderr, and the exit code.
func (r *running) remaining() (code int, stdout, stderr string) {
	r.t.Helper()
	errors := make(chan string)
	go func() {
		b, _ := io.ReadAll(r.stderr)
		errors <- string(b)
	}()
	b, err := io.ReadAll(r.stdout)
	if err != nil {
		r.t.Fatal(err)
	}
	return <-r.code, string(b), <-errors
}

// impostor stands in for a node: it listens, has serve take the first connection, and returns its address.
func impostor(t *testing.T, serve func(in *bufio.Reader, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(bufio.NewReader(conn), conn)
	}()
	return l.Addr().String()
}

// readLine reads a line of the client.
func readLine(in *bufio.Reader) string {
	l, _ := in.ReadString('\n')
	return l
}

// hangOn waits until the client has closed the connection.
func hangOn(in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }
