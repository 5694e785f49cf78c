package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/configs"
	"herd/node/status"
)

// describeFreeHerd returns the default topology on reserved addresses, and the name of a file that describes it.
func describeFreeHerd(t *testing.T) (config *configs.Config, file string) {
	t.Helper()
	config, err := freeCampus(t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "herd.yaml")
	if err := os.WriteFile(file, describeHerd(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return config, file
}

// A client that connects as soon as its port is open has its report flooded, not left to a sync, and the bus is there.
func TestEarlyClient(t *testing.T) {
	config, file := describeFreeHerd(t)
	r := start(t, nil, "up", "--config", file)
	go func() { _, _ = io.Copy(io.Discard, r.stdout) }()
	go func() { _, _ = io.Copy(io.Discard, r.stderr) }()
	deadline := time.Now().Add(patience)
	await := func(what string, so func() bool) {
		t.Helper()
		for tick := time.Tick(time.Millisecond); !so(); <-tick {
			if time.Now().After(deadline) {
				t.Fatalf("not in %s: %s", patience, what)
			}
		}
	}
	var client net.Conn
	await("a client connects", func() bool {
		var err error
		client, err = net.Dial("tcp", config.Nodes[0].Listen)
		return err == nil
	})
	defer client.Close()
	fmt.Fprintln(client, "IAMAT kiwi +34.068930-118.445127 1520023934")
	observer, err := net.Dial("tcp", config.Bus.Listen)
	if err != nil {
		t.Fatal(err)
	}
	_ = observer.Close()
	for _, n := range config.Nodes {
		await(string(n.Name)+" has the report", func() bool { return strings.HasPrefix(whatsat(n, "kiwi"), "AT ") })
		// A sync of the start may bring it as well, and sooner, but each neighbour gets it over its link too.
		await(fmt.Sprintf("%s received it from its neighbour Goloman", n.Name), func() bool {
			links := health(n).Links
			i := slices.IndexFunc(links, func(l status.Link) bool { return l.Peer == "Goloman" })
			return len(links) > 0 && (i < 0 || links[i].ReportsReceived == 1)
		})
	}
	r.stop()
	if code := <-r.code; code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
