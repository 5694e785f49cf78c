package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/subject"
)

// wire is a bus of the nodes Oak and Elm-2 on which a test speaks for Oak.
type wire struct {
	t       *testing.T
	server  *bus.Server
	oak     bus.Conn
	address string
	config  string // path of the file that names them
}

type deaf struct{}

func (deaf) Receive(bus.Message) {}
func (deaf) Fault(error)         {}

func startWire(t *testing.T, listen string) *wire {
	t.Helper()
	server, err := bus.StartServer(bus.ServerConfig{
		Herd: "wood", Neighbours: map[string][]string{"Oak": {"Elm-2"}, "Elm-2": {"Oak"}}, Listen: listen,
		Log: bustest.SilentLog{},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, server: server, address: strings.TrimPrefix(server.URL(), "nats://")}
	if w.oak, err = server.Dialer("Oak").Dial(t.Context(), deaf{}); err != nil {
		t.Fatal(err)
	}
	w.config = filepath.Join(t.TempDir(), "wood.yaml")
	text := fmt.Sprintf(`{herd: wood, nodes: [{name: Oak, listen: ":1"}, {name: Elm-2, listen: ":2"}], links: [[Oak, Elm-2]], bus: {listen: %q}}`, w.address)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *wire) stop() {
	w.oak.Close()
	w.server.Close()
}

func (w *wire) send(payload string) {
	w.t.Helper()
	if err := w.oak.Publish("Elm-2", bus.Message{Kind: subject.Propagate, Payload: []byte(payload)}); err != nil {
		w.t.Fatal(err)
	}
}

const hostile = "PROPAGATE Oak Oak +0.000000001 k\x1b[31m\xff +1+1 1\n"

func TestWatch(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	defer w.stop()
	r := start(t, nil, "watch", "--config", w.config)
	if got, want := r.next(r.stderr), "watching wood.propagate.*.* on nats://"+w.address+"; end with Ctrl-C\n"; got != want {
		t.Fatalf("printed the error %q, want %q", got, want)
	}
	w.send("PROPAGATE Oak Oak +0.263873386 kiwi +34.068930-118.445127 1520023934.918963997\n" +
		"PROPAGATE Oak Pine -1.000000000 k +1-1 1\n" + hostile + "PROPAGATE \x1b[2J\n")
	for _, want := range []string{
		"  Oak   → Elm-2  kiwi  +34.068930-118.445127  Oak +0.263873386\n",
		"  Oak   → Elm-2  k     +1-1                   Pine -1.000000000\n",
		`  Oak   → Elm-2  "k\x1b[31m\xff"  +1+1                   Oak +0.000000001` + "\n",
		`  Oak   → Elm-2 not a report: "PROPAGATE \x1b[2J"` + "\n",
	} {
		got := r.next(r.stdout)
		if at, text, _ := strings.Cut(got, "  "); !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3}$`).MatchString(at) || "  "+text != want {
			t.Errorf("printed %q, want a time and %q", got, want)
		}
	}
	r.stop()
	if code, stdout, stderr := r.remaining(); code != exitDone || stdout+stderr != "" {
		t.Errorf("exit code %d, then %q and %q", code, stdout, stderr)
	}
}

func TestWatchRaw(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	defer w.stop()
	r := start(t, nil, "watch", "--config", w.config, "--raw", "--from", "Oak", "--to", "Elm-2")
	if got, want := r.next(r.stderr), "watching wood.propagate.Oak.Elm-2 on "; !strings.HasPrefix(got, want) {
		t.Fatalf("printed the error %q, want %q", got, want)
	}
	w.send(hostile + "PROPAGATE Oak Oak +0.000000001 k +1+1 1\n")
	for _, want := range []string{hostile, "PROPAGATE Oak Oak +0.000000001 k +1+1 1\n"} {
		if got := r.next(r.stdout); got != "wood.propagate.Oak.Elm-2 "+want {
			t.Errorf("printed %q, want the subject and %q", got, want)
		}
	}
}

func TestWatchClient(t *testing.T) {
	for _, flags := range [][]string{{"--client", "b"}, {"--client", "b", "--raw"}} {
		w := startWire(t, "127.0.0.1:0")
		r := start(t, nil, append([]string{"watch", "--config", w.config}, flags...)...)
		r.next(r.stderr)
		w.send("PROPAGATE Oak Oak +0.000000001 a +1+1 1\nbad\nPROPAGATE Oak Oak +0.000000001 b +2+2 2\n")
		if got := r.next(r.stdout); !strings.Contains(got, " b ") {
			t.Errorf("%q: printed %q", flags, got)
		}
		w.stop()
	}
}

// A bus that goes away is reported, and watched again when it is back.
func TestWatchReconnects(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	r := start(t, nil, "watch", "--bus-url", "nats://"+w.address, "--herd", "wood")
	watching := r.next(r.stderr)
	if want := "watching wood.propagate.*.* on nats://" + w.address + "; end with Ctrl-C\n"; watching != want {
		t.Errorf("printed the error %q, want %q", watching, want)
	}
	w.stop()
	if got := r.next(r.stderr); !strings.HasPrefix(got, "lost the bus, trying again: ") {
		t.Errorf("printed the error %q", got)
	}
	w = startWire(t, w.address)
	defer w.stop()
	if got := r.next(r.stderr); got != watching {
		t.Errorf("printed the error %q, want %q", got, watching)
	}
	w.send(hostile)
	r.next(r.stdout)
}

func TestWatchNothing(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	w.stop()
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--bus-url", "nats://joe:sesame@" + w.address}, exitFailed, "herd: bus: connect to nats://" + w.address + ": "},
		{[]string{"--config", w.config}, exitFailed, "herd: bus: connect to nats://" + w.address + ": "},
		{[]string{"--bus-listen", ""}, exitFailed, "herd: the bus cannot be observed: neither bus.url nor bus.listen says where it is; name it with --bus-url\n"},
		{[]string{"--bus-listen", ":0"}, exitFailed, `herd: bus.listen: ":0" is any free port, and nobody knows which; name the bus with --bus-url` + "\n"},
		{[]string{"--from", "Nobody"}, exitUsage, `herd: no node is named "Nobody"; 'herd topology check' lists them` + "\n"},
		{[]string{"--to", "Nobody"}, exitUsage, `herd: no node is named "Nobody"; 'herd topology check' lists them` + "\n"},
		{[]string{"Goloman"}, exitUsage, `herd: unexpected "Goloman"; see 'herd watch --help'` + "\n"},
	}
	for _, tt := range tests {
		code, stdout, stderr := herd(t, "", append([]string{"watch"}, tt.args...)...)
		if code != tt.code || stdout != "" || !strings.HasPrefix(stderr, tt.want) || strings.Contains(stderr, "sesame") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d, printed %q, printed the error %q, want %q", tt.args, code, stdout, stderr, tt.want)
		}
	}
}

// As a process, it ends well with Ctrl-C.
func TestWatchInterrupt(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	defer w.stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "herd", "watch", "--config", w.config)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if l, err := bufio.NewReader(stderr).ReadString('\n'); err != nil || !strings.HasPrefix(l, "watching ") {
		t.Errorf("printed the error %q, %v", l, err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
