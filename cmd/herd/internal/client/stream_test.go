package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"herd/cmd/herd/internal/terminal"
)

// The timeout runs only while a reply is due.
func TestStreamTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		theirs, ours := net.Pipe()
		conn := New(ours, "node", timeout)
		go func() {
			in := bufio.NewReader(theirs)
			_, _ = in.ReadString('\n')
			fmt.Fprint(theirs, "AT Hands +0.000000000 k +1+1 1\n\n")
			_, _ = io.Copy(io.Discard, in) // without another reply
		}()
		stdin, typed := io.Pipe()
		var second time.Time
		go func() {
			fmt.Fprintln(typed, "k +1+1 1")
			time.Sleep(10 * timeout)
			second = time.Now()
			fmt.Fprintln(typed, "k +1+1 2")
		}()
		var out bytes.Buffer
		replies, refused, err := conn.Stream(t.Context(), stdin, &out, new(terminal.Progress))
		const want = "node was silent for 1s; give it more time with --timeout, or connect to another node"
		if replies != 1 || refused != 0 || err == nil || err.Error() != want || time.Since(second) != timeout {
			t.Errorf("%d replies, %d refused, %v, %s after the second line", replies, refused, err, time.Since(second))
		}
		conn.Close()
		_ = typed.Close()
	})
}
