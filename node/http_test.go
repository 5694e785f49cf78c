package node

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"herd/node/session/sessiontest"
	"herd/node/status"
)

// A node serves its health until it ends.
func TestHealthOverHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := startTCP(t, func(c *Config) { c.HTTP = l })
	c := sessiontest.Dial(t, n.address)
	c.Send(example + "junk\n")
	c.Paragraph()
	c.Bytes(len("? junk\n"))
	url := "http://" + l.Addr().String() + "/readyz"
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var h status.Health
	if err := json.NewDecoder(answer.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	if sum, _ := n.Registry().Digest(); sum == 0 || h.Digest != fmt.Sprintf("%016x", sum) {
		t.Errorf("the digest is %q, want %016x", h.Digest, sum)
	}
	if answer.StatusCode != 200 || h.Node != "Goloman" || !h.Ready || h.Bus != "connected" || h.Clients != 1 || h.Sessions != 1 ||
		len(h.Links) != 0 || h.Refused["invalid line"] != 1 || len(h.Refused) != 1 {
		t.Errorf("%d %+v", answer.StatusCode, h)
	}
	n.stop()
	if _, err := http.Get(url); err == nil {
		t.Error("health is served by a node that has ended")
	}
}

// A node whose health listener fails ends with that error.
func TestHTTPFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &net.OpError{Op: "accept", Err: net.UnknownNetworkError("broken")}
		n := New(Config{Topology: starTopology(t, "Goloman"), Listener: sessiontest.NewListener(), HTTP: failingListener{sessiontest.NewListener(), broken}, Bus: unreachableBus{}, Log: zapNop})
		if err := n.Run(t.Context()); err != broken {
			t.Errorf("ended with %v", err)
		}
	})
}

// failingListener accepts nothing.
type failingListener struct {
	*sessiontest.Listener
	err error
}

func (f failingListener) Accept() (net.Conn, error) { return nil, f.err }
