//go:build lab

package lab

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// healthy waits until the engine reports a container as healthy.
func healthy(t *testing.T, server string) {
	t.Helper()
	eventually(t, patience, func() error {
		if state := inspect[string](t, container(server), ".State.Health.Status"); state != "healthy" {
			return errors.New(server + " is " + state)
		}
		return nil
	})
}

// Cut off from the bus, Holiday takes Welsh with it. Both go on answering their clients, and the other three go on exchanging reports.
func testPartition(t *testing.T) {
	const client = "koala"
	old := report(t, "Goloman", client)
	reaches(t, client, old, everyone()...)

	docker(t, "network", "disconnect", "herd_bus", container("Holiday"))
	t.Logf("Holiday knows after %s", connected(t, false, "Holiday"))
	now := report(t, "Hands", client)
	reaches(t, client, now, "Goloman", "Hands", "Wilkes")
	wantKnown(t, client, old, "Holiday", "Welsh")
	wombat, wallaby := report(t, "Holiday", "wombat"), report(t, "Welsh", "wallaby")
	wantKnown(t, "wombat", "", "Goloman", "Hands", "Welsh", "Wilkes")
	wantKnown(t, "wallaby", "", "Goloman", "Hands", "Holiday", "Wilkes")

	docker(t, "network", "connect", "--alias", "holiday", "herd_bus", container("Holiday"))
	reaches(t, client, now, everyone()...)
	reaches(t, "wombat", wombat, everyone()...)
	reaches(t, "wallaby", wallaby, everyone()...)
	floods(t, client)
}

// A paused server holds up no other, and receives what it missed when it is resumed.
func testNodePaused(t *testing.T) {
	docker(t, "pause", container("Holiday"))
	at := report(t, "Goloman", "kiwi")
	reaches(t, "kiwi", at, "Goloman", "Hands", "Wilkes")
	docker(t, "unpause", container("Holiday"))
	reaches(t, "kiwi", at, everyone()...)
}

// A server that is killed is ready again when it knows what it missed.
func testNodeKilled(t *testing.T) {
	docker(t, "kill", container("Wilkes"))
	at := report(t, "Welsh", "kea")
	reaches(t, "kea", at, "Goloman", "Hands", "Holiday", "Welsh")
	docker(t, "start", container("Wilkes"))
	connected(t, true, "Wilkes")
	wantKnown(t, "kea", at, "Wilkes")
	floods(t, "kea")
	healthy(t, "Wilkes")
}

// A server that ends by itself is started again by the engine.
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

// alone checks that all answer their clients while there is no bus, stay healthy, and send each other what is new when it is back.
func alone(t *testing.T, how, undo string) {
	t.Helper()
	docker(t, how, container("nats"))
	t.Logf("all know after %s", connected(t, false, everyone()...))
	lonely := make(map[string]string)
	for _, n := range published {
		lonely[n.name] = report(t, n.name, "lonely-"+n.name)
		wantKnown(t, "lonely-"+n.name, lonely[n.name], n.name)
	}
	docker(t, undo, container("nats"))
	for name, at := range lonely {
		reaches(t, "lonely-"+name, at, everyone()...)
	}
	connected(t, true, everyone()...)
	floods(t, "kea")
}

func testNATSPaused(t *testing.T) { alone(t, "pause", "unpause") }

func testNATSKilled(t *testing.T) { alone(t, "kill", "start") }

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
		if err := monitoring(t, monitor+"/connz", &page); err != nil || len(page.Connections) != len(published) {
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
	err = monitoring(t, monitor+"/routez", &page)
	names := make(map[string]bool)
	for _, r := range page.Routes {
		names[r.Name] = true
	}
	return len(names), err
}

// A server without the credentials of the cluster does not get in, even from the network of the routes; a client of the bus
// does not even get there. With the credentials it does, and what it sends is received: so they are what keeps it out.
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
		eventually(t, patience, func() error { // a new route first receives who subscribes to what
			forge(url, "admitted")
			return haveReport("admitted", "AT Hands +0.000000001 admitted +1+1 1", everyone()...)
		})
	})
	t.Run("from the bus", func(t *testing.T) {
		greeting := func(port string) string {
			out, _ := run("docker", "run", "--rm", "--network", "herd_bus", "golang:1.26-alpine", "sh", "-c", "nc -w 2 nats "+port+" </dev/null")
			return out
		}
		if got := greeting("4222"); !strings.HasPrefix(got, "INFO ") {
			t.Errorf("port 4222 answers %q", got)
		}
		if got := greeting("6222"); got != "" {
			t.Errorf("port 6222 answers %q", got)
		}
	})
}
