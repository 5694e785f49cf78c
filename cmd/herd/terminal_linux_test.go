package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminalPair returns the two ends of a pseudo-terminal: what a command has, and what is seen on the screen.
func terminalPair(t *testing.T) (command, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal("no pseudo-terminals: ", err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	command, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Close() })
	return command, screen
}

// Colours are where they are wanted: on a terminal, unless its user or its kind says no, and nowhere else unless asked for.
func TestColourful(t *testing.T) {
	tty, _ := terminalPair(t)
	for _, tt := range []struct {
		mode     colourMode
		terminal bool
		environ  []string
		want     bool
	}{
		{"auto", true, nil, true},
		{"auto", true, []string{"TERM=xterm-256color", "NO_COLOR="}, true},
		{"auto", true, []string{"TERM=dumb"}, false},
		{"auto", true, []string{"NO_COLOR=1"}, false},
		{"auto", true, []string{"NO_COLOR=1", "NO_COLOR="}, true},
		{"auto", false, nil, false},
		{"never", true, nil, false},
		{"always", false, []string{"NO_COLOR=1", "TERM=dumb"}, true},
	} {
		p := &program{environ: tt.environ, stdout: new(bytes.Buffer)}
		if tt.terminal {
			p.stdout = tty
		}
		if got := p.colourful(tt.mode); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// On a terminal, no byte of a client controls it, neither in columns nor raw.
func TestWatchTerminal(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	defer w.stop()
	for flag, want := range map[string]string{
		"":      "\x1b[2m…\x1b[0m  Oak   → Elm-2  \x1b[36m\"k\\x1b[31m\\xff\"\x1b[0m  +1+1  \x1b[36mOak\x1b[0m \x1b[2m+0.000000001\x1b[0m\r\n",
		"--raw": `wood.propagate.Oak.Elm-2 "PROPAGATE Oak Oak +0.000000001 k\x1b[31m\xff +1+1 1"` + "\r\n",
	} {
		tty, screen := terminalPair(t)
		args := strings.Fields("watch --config " + w.config + " " + flag)
		ended := make(chan int)
		ctx, stop := context.WithCancel(t.Context())
		errors, stderr := io.Pipe()
		go func() { ended <- run(ctx, args, nil, nil, tty, stderr) }()
		if _, err := bufio.NewReader(errors).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		w.send(hostile)
		buffer := make([]byte, 1024)
		n, err := screen.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		got := regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`).ReplaceAllString(string(buffer[:n]), "…")
		if got != want {
			t.Errorf("%q: printed %q, want %q", flag, got, want)
		}
		stop()
		if code := <-ended; code != exitDone {
			t.Errorf("exit code %d", code)
		}
	}
}

// On a terminal the log has a line for each server that is ready, and then one for each line of a client.
func TestUpTerminal(t *testing.T) {
	config, file := describeFreeHerd(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte("log: {level: warn}\n"), nil, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	tty, screen := terminalPair(t)
	ended := make(chan int)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- run(ctx, []string{"up", "--config", file}, nil, nil, io.Discard, tty) }()
	log := bufio.NewScanner(screen)
	var got []string
	read := func(lines int) {
		for len(got) < lines && log.Scan() {
			got = append(got, regexp.MustCompile(`^\S+  INFO  (\w+  \w+).*`).ReplaceAllString(log.Text(), "$1"))
		}
	}
	read(5)
	client, err := net.Dial("tcp", config.Nodes[0].Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fmt.Fprintln(client, "IAMAT kiwi +34.068930-118.445127 1520023934")
	read(6)
	go func() { _, _ = io.Copy(io.Discard, screen) }()
	stop()
	if code := <-ended; code != exitDone {
		t.Errorf("exit code %d", code)
	}
	slices.Sort(got[:5])
	want := []string{"Goloman  ready", "Hands  ready", "Holiday  ready", "Welsh  ready", "Wilkes  ready", "Goloman  received"}
	if !slices.Equal(got, want) {
		t.Errorf("printed %q, want %q", got, want)
	}
}
