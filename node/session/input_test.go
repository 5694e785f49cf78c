package session

import (
	"io"
	"net"
	"testing"
	"time"

	"herd/node/session/sessiontest"
)

// A connection has a buffer only while the beginning of a line is in it.
func TestInputKeepsNoBuffer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours := sessiontest.Dial(t, l.Addr().String())
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	in := newInput(theirs)
	silence := func() {
		t.Helper()
		if err := theirs.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := in.fill(); !timedOut(err) {
			t.Fatalf("nothing was sent, but fill gives %v", err)
		}
		if err := theirs.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	received := func(what, want string, kept bool) {
		t.Helper()
		if err := in.fill(); err != nil {
			t.Fatal(err)
		}
		got, _, _ := in.Next()
		silence()
		if string(got) != want || kept != (in.lent != nil) {
			t.Errorf("%s: %q, buffer kept: %t", what, got, in.lent != nil)
		}
	}
	silence()
	if in.lent != nil {
		t.Error("a client that has said nothing has a buffer")
	}
	ours.Send("junk\n")
	received("after a line", "junk", false)
	ours.Send("ju")
	received("within a line", "", true)
	ours.Send("nk\n")
	received("after it", "junk", false)
	ours.Send("ju")
	received("within another", "", true)
	if err := ours.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := in.fill(); err != io.EOF {
		t.Errorf("at the end fill gives %v", err)
	}
	if got, ok := in.Rest(); string(got) != "ju" || !ok {
		t.Errorf("and what is left is %q", got)
	}
	if in.giveBack(); in.lent != nil {
		t.Error("the buffer is kept after the end")
	}
}
