package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"herd/cmd/herd/internal/client"
)

// reply answers a line as a server that refuses nothing.
func reply(w io.Writer, l string) {
	fmt.Fprintf(w, "AT Hands +0.000000000 %s\n", strings.TrimPrefix(l, "IAMAT "))
}

// So many lines wait for their replies and no more: a server that replies only when it has got them all gets them.
func TestStreamWindow(t *testing.T) {
	const lines = 3 * client.MaxUnanswered
	var input, want strings.Builder
	for i := range lines {
		fmt.Fprintf(&input, "c%d +1+1 %d\n", i, i)
		reply(&want, fmt.Sprintf("IAMAT c%d +1+1 %d\n", i, i))
	}
	address := impostor(t, func(in *bufio.Reader, conn net.Conn) {
		var replies bytes.Buffer
		for i := range lines {
			reply(&replies, readLine(in))
			if (i+1)%client.MaxUnanswered == 0 {
				_, _ = replies.WriteTo(conn)
			}
		}
		hangOn(in)
	})
	code, stdout, stderr := herd(t, input.String(), "iamat", "-", "--addr", address)
	if code != exitDone || stdout != want.String() {
		t.Errorf("exit code %d, %d bytes of replies, want %d", code, len(stdout), want.Len())
	}
	if want := fmt.Sprintf("%d reports, 0 refused\n", lines); stderr != want {
		t.Errorf("printed the error %q, want %q", stderr, want)
	}
}

// What is typed leaves at once, and its reply shows at once.
func TestStreamLive(t *testing.T) {
	address := impostor(t, func(in *bufio.Reader, conn net.Conn) {
		for l := readLine(in); l != ""; l = readLine(in) {
			reply(conn, l)
		}
	})
	stdin, typed := io.Pipe()
	r := start(t, stdin, "iamat", "-", "--addr", address)
	for i := range 3 {
		fmt.Fprintf(typed, "k +1+1 %d\n", i)
		if got, want := r.next(r.stdout)+r.next(r.stdout), fmt.Sprintf("AT Hands +0.000000000 k +1+1 %d\n\n", i); got != want {
			t.Errorf("reply %q, want %q", got, want)
		}
	}
	_, _ = io.WriteString(typed, "last +1+1 9") // without LF
	_ = typed.Close()
	code, stdout, stderr := r.remaining()
	if code != exitDone || stdout != "AT Hands +0.000000000 last +1+1 9\n\n" || stderr != "4 reports, 0 refused\n" {
		t.Errorf("exit code %d, printed %q, printed the error %q", code, stdout, stderr)
	}
}

func TestStreamInterrupted(t *testing.T) {
	address := impostor(t, func(in *bufio.Reader, conn net.Conn) {
		reply(conn, readLine(in))
		hangOn(in)
	})
	stdin, typed := io.Pipe()
	defer typed.Close()
	r := start(t, stdin, "iamat", "-", "--addr", address)
	_, _ = io.WriteString(typed, "k +1+1 1\n")
	r.next(r.stdout)
	r.next(r.stdout)
	r.stop()
	code, _, stderr := r.remaining()
	if code != exitFailed || stderr != "1 report, 0 refused\nherd: interrupted\n" {
		t.Errorf("exit code %d, printed the error %q", code, stderr)
	}
}

func TestStreamBreaks(t *testing.T) {
	address := impostor(t, func(in *bufio.Reader, conn net.Conn) { reply(conn, readLine(in)) })
	code, stdout, stderr := herd(t, "a +1+1 1\nb +1+1 1\n", "iamat", "-", "--addr", address)
	if code != exitFailed || stdout != "AT Hands +0.000000000 a +1+1 1\n\n" ||
		!strings.HasPrefix(stderr, "1 report, 0 refused\nherd: "+address+" closed the connection before it replied") {
		t.Errorf("exit code %d, printed %q, printed the error %q", code, stdout, stderr)
	}

	address = impostor(t, func(in *bufio.Reader, _ net.Conn) { hangOn(in) })
	var out, errs bytes.Buffer
	code = run(t.Context(), []string{"iamat", "-", "--addr", address}, nil, iotest.ErrReader(errors.New("disk gone")), &out, &errs)
	if want := "0 reports, 0 refused\nherd: read standard input: disk gone\n"; code != exitFailed || errs.String() != want {
		t.Errorf("exit code %d, printed the error %q, want %q", code, errs.String(), want)
	}
}

// A line too long for any server is sent as far as one reads it: memory stays bounded, and the server refuses.
func TestStreamLongLine(t *testing.T) {
	address := impostor(t, func(in *bufio.Reader, conn net.Conn) {
		l := readLine(in)
		if len(l) > 5000 {
			t.Errorf("sent a line of %d bytes", len(l))
		}
		fmt.Fprintf(conn, "? %s", l[:4096]+"\n")
		reply(conn, readLine(in))
		hangOn(in)
	})
	code, _, stderr := herd(t, strings.Repeat("x", 1<<20)+"\nk +1+1 1\n", "iamat", "-", "--addr", address)
	if code != exitFailed || stderr != "2 reports, 1 refused\n" {
		t.Errorf("exit code %d, printed the error %q", code, stderr)
	}
}
