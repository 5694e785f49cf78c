package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// A reply ends where the protocol says, not where the connection does; and it is printed byte by byte.
func TestReplyAsItCame(t *testing.T) {
	long := "AT Hands +0.000000000 \x1b\xff +1+1 1\n{\n  \"name\": \"" + strings.Repeat("x", 200<<10) + "\"\n}\n\n"
	for _, reply := range []string{"AT Hands +0.000000000 k +1+1 1\n\n", "? WHATSAT k 1 1\n", "? \xff\x1b\n", long} {
		address := impostor(t, func(in *bufio.Reader, conn net.Conn) {
			if l := readLine(in); l != "WHATSAT k 1 1\n" {
				t.Errorf("sent %q", l)
			}
			first := len(reply) / 2
			_, _ = io.WriteString(conn, reply[:first])
			_, _ = io.WriteString(conn, reply[first:])
			hangOn(in)
		})
		code, stdout, _ := herd(t, "", "whatsat", "k", "1", "1", "--addr", address)
		want := exitDone
		if reply[0] == '?' {
			want = exitFailed
		}
		if code != want || stdout != reply {
			t.Errorf("exit code %d, printed %.90q, want %d and %.90q", code, stdout, want, reply)
		}
	}
}

func TestNoReply(t *testing.T) {
	tests := []struct {
		name  string
		reply string
		hang  bool
		want  string
	}{
		{"closed", "", false, "%s closed the connection before it replied; it is stopping, hit a limit, or speaks only TLS (see --tls): see its log"},
		{"closed within", "AT Hands", false, "%s closed the connection before it replied; it is stopping, hit a limit, or speaks only TLS (see --tls): see its log"},
		{"silent", "", true, "%s was silent for 1s; give it more time with --timeout, or connect to another node"},
		{"silent within", "AT Hands +0.000000000 k +1+1 1\n", true, "%s was silent for 1s; give it more time with --timeout, or connect to another node"},
		{"other protocol", "INFO {\"server_id\":\"NATS\"}\r\n", true, `%s answers "INFO {\"server_id\":\"NATS\"}\r\n", which is not the client protocol; is that the address of a node?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := impostor(t, func(in *bufio.Reader, conn net.Conn) {
				readLine(in)
				_, _ = io.WriteString(conn, tt.reply)
				if tt.hang {
					hangOn(in)
				}
			})
			timeout := "1m" // not to be reached, however busy the machine
			if strings.HasPrefix(tt.name, "silent") {
				timeout = "1s"
			}
			code, _, stderr := herd(t, "", "iamat", "k", "+1+1", "1", "--addr", address, "--timeout", timeout)
			if want := fmt.Sprintf("herd: "+tt.want+"\n", address); code != exitFailed || stderr != want {
				t.Errorf("exit code %d, error %q, want %q", code, stderr, want)
			}
		})
	}
}

func TestRefusalOfNewClients(t *testing.T) {
	address := impostor(t, func(in *bufio.Reader, conn net.Conn) { fmt.Fprintf(conn, "? %s", readLine(in)) })
	_, _, stderr := herd(t, "", "iamat", "k", "+1+1", "1", "--addr", address)
	if want := "herd: " + address + " refused that: it takes no more new clients from this address; try again in a minute\n"; stderr != want {
		t.Errorf("error %q, want %q", stderr, want)
	}
}

// A server that says nothing to a greeting in TLS probably speaks none; nor does one that answers in its own way.
func TestNoTLS(t *testing.T) {
	for _, tt := range []struct {
		reply   string
		hang    bool
		timeout string // what is to pass is short, what is not is long
		want    string
	}{
		{"", true, "1s", "%s completed no TLS handshake in 1s; does it speak TLS? if not, leave out --tls, --ca, --cert and --key"},
		{"", false, "20s", "%s closed the connection in the TLS handshake; it is stopping, hit a limit, or does not speak TLS: see its log"},
		{"? \x16\x03\x01\n", true, "20s", "%s does not speak TLS; leave out --tls, --ca, --cert and --key, or connect to another node"},
	} {
		address := impostor(t, func(in *bufio.Reader, conn net.Conn) {
			_, _ = in.Peek(1)
			_, _ = in.Discard(in.Buffered()) // or the connection is reset
			_, _ = io.WriteString(conn, tt.reply)
			if tt.hang {
				hangOn(in)
			}
		})
		code, _, stderr := herd(t, "", "iamat", "k", "+1+1", "1", "--tls", "--addr", address, "--timeout", tt.timeout)
		if want := fmt.Sprintf("herd: "+tt.want+"\n", address); code != exitFailed || stderr != want {
			t.Errorf("exit code %d, error %q, want %q", code, stderr, want)
		}
	}
}
