package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"herd/node/status"
)

// lookAt runs servers, and returns the events of the first that says where it is. The next function skips all but those of one name.
func lookAt(t *testing.T, args ...string) (next func(name string, into any)) {
	t.Helper()
	r := start(t, nil, append(args, "--log-dir", t.TempDir())...)
	var url string
	for address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`); url == ""; {
		url = address.FindString(r.next(r.stdout))
	}
	answer, err := http.Get(url + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		_, _ = io.Copy(io.Discard, r.stdout) // the rest of what it says, until it ends
	}()
	t.Cleanup(func() { // before the run's own
		r.stop()
		<-printed
		<-r.code
	})
	in := bufio.NewReader(answer.Body)
	return func(name string, into any) {
		t.Helper()
		for found := false; ; {
			l, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			data, ok := strings.CutPrefix(l, "data: ")
			switch {
			case !ok:
				found = l == "event: "+name+"\n"
			case found:
				if err := json.Unmarshal([]byte(data), into); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
}

// hello returns the next hello that says whether the bus is observed, and its reason if it is not, but for those that say that it is being
// tried.
func hello(next func(string, any), observing bool, why string) (h status.Hello) {
	for ok := false; !ok; ok = h.Observing == observing && strings.Contains(h.Why, why) {
		h = status.Hello{}
		next("hello", &h)
	}
	return h
}

// A status page has the whole herd as long as the bus lets the process observe it, and says when and why not.
func TestObserve(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	next := lookAt(t, "node", "Oak", "--config", w.config, "--bus-url", "nats://"+w.address, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--http-observe", "on")
	seen := func() {
		t.Helper()
		hello(next, true, "")
		w.send("PROPAGATE Oak Oak +0.263873386 kiwi +34.068930-118.445127 1520023934.918963997\n" + hostile)
		var got struct {
			Links   []status.Traffic
			Reports []status.Transfer
		}
		next("messages", &got)
		if len(got.Links) != 1 || got.Links[0] != (status.Traffic{From: "Oak", To: "Elm-2", Reports: 2}) ||
			got.Reports[0].Client != "kiwi" || string(got.Reports[1].IDBase64) != "k\x1b[31m\xff" {
			t.Errorf("seen %+v", got)
		}
	}
	seen()
	w.stop()
	hello(next, false, "connect") // refused by the system, or lost
	_, port, err := net.SplitHostPort(w.address)
	if err != nil {
		t.Fatal(err)
	}
	w = startWire(t, ":"+port) // where others could reach it, nobody observes without a key
	h := hello(next, false, "the bus lets no observer in; make its configuration with 'herd bus keys --observer'")
	if strings.Contains(h.Why, "\n") {
		t.Errorf("told %q", h.Why)
	}
	w.stop()
	w = startWire(t, "127.0.0.1:"+port)
	defer w.stop()
	seen()
}

// An embedded server is observed wherever it listens, nowhere included; and whether is configured.
func TestObserveOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wood.yaml")
	text := `{herd: wood, nodes: [{name: Oak, listen: "127.0.0.1:0", http: "127.0.0.1:0"}, {name: Elm, listen: "127.0.0.1:0"}], links: [[Oak, Elm]]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	wire := startWire(t, "127.0.0.1:0")
	defer wire.stop()
	for i, c := range []struct {
		args      []string
		observing bool
		why       string
	}{
		{[]string{"--bus-listen", ""}, true, ""},
		{[]string{"--bus-listen", "127.0.0.1:0"}, true, ""},
		{[]string{"--bus-listen", ":0"}, true, ""},
		{[]string{"--bus-listen", "", "--http-observe", "off"}, false, "http.observe is off"},
		{[]string{"--bus-url", "nats://" + wire.address}, false, "the bus is not this process's own; to observe it nevertheless, set http.observe to on"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			next := lookAt(t, append([]string{"up", "--config", path}, c.args...)...)
			hello(next, c.observing, c.why)
		})
	}
}
