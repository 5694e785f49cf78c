//go:build compose

package herd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// healthy waits until the engine says so of a container.
func healthy(t *testing.T, server string) {
	t.Helper()
	eventually(t, patience, func() error {
		if state := inspect[string](t, container(server), ".State.Health.Status"); state != "healthy" {
			return errors.New(server + " is " + state)
		}
		return nil
	})
}

// Cut off from the bus, Holiday takes Welsh with it. Both go on answering their clients, and the rest goes on learning.
func testPartition(t *testing.T) {
	const client = "koala"
	old := report(t, "Goloman", client)
	reaches(t, client, old, everyone()...)

	docker(t, "network", "disconnect", "herd_bus", container("Holiday"))
	t.Logf("Holiday knows after %s", connected(t, false, "Holiday"))
	now := report(t, "Hands", client)
	reaches(t, client, now, "Goloman", "Hands", "Wilkes")
	wantKnown(t, client, old, "Holiday", "Welsh")
	reaches(t, "wombat", report(t, "Holiday", "wombat"), "Holiday")
	reaches(t, "wallaby", report(t, "Welsh", "wallaby"), "Welsh")
	wantKnown(t, "wombat", "", "Goloman", "Hands", "Welsh", "Wilkes")
	wantKnown(t, "wallaby", "", "Goloman", "Hands", "Holiday", "Wilkes")

	docker(t, "network", "connect", "--alias", "holiday", "herd_bus", container("Holiday"))
	t.Logf("Holiday is back after %s", connected(t, true, "Holiday"))
	floods(t, client)
}

// heals waits until a report reaches all again, and returns how long that took. Which report is the first to do so is
// nobody's to know: a connection that froze may be found dead any time.
func heals(t *testing.T) {
	t.Helper()
	var at string
	var last time.Time
	took := eventually(t, patience, func() error {
		if time.Since(last) > time.Second {
			at, last = report(t, "Goloman", "healer"), time.Now()
		}
		return agree("healer", at, everyone()...)
	})
	t.Logf("all hear again after %s", took)
}

// A server that is paused stops nobody else.
func testNodePaused(t *testing.T) {
	docker(t, "pause", container("Holiday"))
	at := report(t, "Goloman", "kiwi")
	reaches(t, "kiwi", at, "Goloman", "Hands", "Wilkes")
	docker(t, "unpause", container("Holiday"))
	heals(t)
}

// A server that is killed comes back knowing what it knew, and learns.
func testNodeKilled(t *testing.T) {
	known := report(t, "Goloman", "quagga")
	reaches(t, "quagga", known, everyone()...)
	time.Sleep(100 * time.Millisecond) // which is what the disk may take
	docker(t, "kill", container("Wilkes"))
	reaches(t, "kea", report(t, "Welsh", "kea"), "Goloman", "Hands", "Holiday", "Welsh")
	docker(t, "start", container("Wilkes"))
	connected(t, true, "Wilkes")
	wantKnown(t, "quagga", known, "Wilkes")
	floods(t, "kea")
	healthy(t, "Wilkes")
}

// A server that ends without being told to by the engine is started again.
func testNodeEnds(t *testing.T) {
	before := inspect[string](t, container("Hands"), ".State.StartedAt")
	docker(t, "run", "--rm", "--pid", "container:"+container("Hands"), "--user", "65532", "golang:1.26-alpine", "sh", "-c", "kill -TERM 1")
	eventually(t, patience, func() error {
		if restarts := inspect[int](t, container("Hands"), ".RestartCount"); restarts != 1 {
			return fmt.Errorf("Hands was restarted %d times", restarts)
		}
		return nil
	})
	connected(t, true, "Hands")
	if after := inspect[string](t, container("Hands"), ".State.StartedAt"); after == before {
		t.Errorf("Hands runs since %s", after)
	}
	floods(t, "kea")
}

func testNodeRestarted(t *testing.T) {
	compose(t, "restart", "welsh")
	connected(t, true, "Welsh")
	floods(t, "kea")
	healthy(t, "Welsh")
}

// testAlone checks that all answer their clients while there is no bus, and stay healthy.
func testAlone(t *testing.T) {
	t.Helper()
	t.Logf("all know after %s", connected(t, false, everyone()...))
	for _, n := range campus {
		wantKnown(t, "lonely-"+n.name, report(t, n.name, "lonely-"+n.name), n.name)
	}
}

func testNATSPaused(t *testing.T) {
	docker(t, "pause", container("nats"))
	testAlone(t)
	docker(t, "unpause", container("nats"))
	connected(t, true, everyone()...)
	floods(t, "kea")
}

func testNATSKilled(t *testing.T) {
	docker(t, "kill", container("nats"))
	testAlone(t)
	docker(t, "start", container("nats"))
	connected(t, true, everyone()...)
	floods(t, "kea")
}

func testNATSRestarted(t *testing.T) {
	before := inspect[string](t, container("nats"), ".State.StartedAt")
	compose(t, "restart", "nats")
	if after := inspect[string](t, container("nats"), ".State.StartedAt"); after == before {
		t.Error("NATS was not restarted")
	}
	eventually(t, patience, func() error {
		var page struct {
			Connections []struct{ Name string }
		}
		if err := monitored(t, monitor+"/connz", &page); err != nil || len(page.Connections) != len(campus) {
			return fmt.Errorf("%d connections, %w", len(page.Connections), err)
		}
		return nil
	})
	connected(t, true, everyone()...)
	floods(t, "kea")
}

// rogue runs a NATS server that wants to be one of the cluster, and returns where to connect to it.
func rogue(t *testing.T, credentials string) string {
	t.Helper()
	const name = "herd-test-rogue"
	docker(t, "create", "--name", name, "--publish", "127.0.0.1::4222", "nats:2.15",
		"--addr", "0.0.0.0", "--port", "4222", "--cluster_name", "herd", "--cluster", "nats://0.0.0.0:6222", "--routes", "nats-route://"+credentials+"route-1:6222")
	t.Cleanup(func() { docker(t, "rm", "--force", "--volumes", name) })
	docker(t, "network", "connect", "herd_routes", name)
	docker(t, "start", name)
	return "nats://" + docker(t, "port", name, "4222")
}

// routes returns how many servers a NATS server is clustered with.
func routes(t *testing.T, monitor string) (n int, err error) {
	var page struct {
		Routes []struct {
			Name string `json:"remote_name"`
		}
	}
	err = monitored(t, monitor+"/routez", &page)
	names := make(map[string]bool)
	for _, r := range page.Routes {
		names[r.Name] = true
	}
	return len(names), err
}

// A server without the credentials of the cluster does not get in, even from the network of the routes; who is on the bus
// does not even get there. With the credentials it does, and what it says is heard: so they are what keeps it out.
func testRogueRoute(t *testing.T) {
	forge := func(url, client string) {
		t.Helper()
		r := observe(t, url)
		forged := "PROPAGATE Hands Hands +0.000000001 " + client + " +1+1 1"
		if err := r.Publish("herd.propagate.Hands.Goloman", []byte(forged)); err != nil {
			t.Fatal(err)
		}
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("without credentials", func(t *testing.T) {
		url := rogue(t, "")
		eventually(t, patience, func() error {
			if log := compose(t, "logs", "nats"); !strings.Contains(log, "Router connection closed: Authentication Failure") {
				return fmt.Errorf("NATS refuses nobody: %s", log)
			}
			return nil
		})
		forge(url, "forged")
		floods(t, "kea")
		wantKnown(t, "forged", "", everyone()...)
		if n, err := routes(t, monitor); n != 0 || err != nil {
			t.Errorf("%d routes, %v", n, err)
		}
	})
	t.Run("with credentials", func(t *testing.T) {
		password := strings.TrimSpace(copied(t, container("nats")+":/etc/nats/route.password")["route.password"])
		url := rogue(t, "route:"+password+"@")
		eventually(t, patience, func() error {
			if n, err := routes(t, monitor); n != 1 || err != nil {
				return fmt.Errorf("%d routes, %w", n, err)
			}
			return nil
		})
		eventually(t, patience, func() error { // a new route first hears who subscribes to what
			forge(url, "admitted")
			return agree("admitted", "AT Hands +0.000000001 admitted +1+1 1", everyone()...)
		})
	})
	t.Run("from the bus", func(t *testing.T) {
		greeting := func(port string) string {
			out, _ := run("docker", "run", "--rm", "--network", "herd_bus", "golang:1.26-alpine", "sh", "-c", "nc -w 2 nats "+port+" </dev/null")
			return out
		}
		if got := greeting("4222"); !strings.HasPrefix(got, "INFO ") {
			t.Errorf("port 4222 says %q", got)
		}
		if got := greeting("6222"); got != "" {
			t.Errorf("port 6222 says %q", got)
		}
	})
}
