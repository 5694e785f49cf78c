package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// In a running herd the tree has each message once, and each server receives the report once.
func TestWatchPath(t *testing.T) {
	config, url, stop, err := startCampus()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	file := filepath.Join(t.TempDir(), "herd.yaml")
	if err := os.WriteFile(file, describeHerd(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, nil, "watch", "--config", file, "--bus-url", url, "--path", "kiwi")
	r.next(r.stderr)
	for _, client := range []string{"emu", "kiwi"} {
		if code, _, stderr := herd(t, "", "iamat", client, "+1-1", "7", "--config", file, "--node", "Hands"); code != exitDone {
			t.Fatal(stderr)
		}
	}
	if got := r.next(r.stdout); !strings.HasSuffix(got, "  kiwi  +1-1  7\n") {
		t.Errorf("printed %q", got)
	}
	if got := r.next(r.stdout); !regexp.MustCompile(`^Hands \+\d+\.\d{9} +since first +since sender\n$`).MatchString(got) {
		t.Errorf("printed %q", got)
	}
	row := regexp.MustCompile(`^[│ ]*[├└]─ (\w+) +\d+\.\d{3} ms +(?:–|\d+\.\d{3} ms)(  duplicate)?\n$`)
	var receivers []string
	for range 8 {
		got := r.next(r.stdout)
		switch m := row.FindStringSubmatch(got); {
		case m == nil:
			t.Errorf("printed %q", got)
		case m[2] == "":
			receivers = append(receivers, m[1])
		}
	}
	slices.Sort(receivers)
	if got := strings.Join(receivers, " "); got != "Goloman Holiday Welsh Wilkes" {
		t.Errorf("received by %s", got)
	}
	if got := r.next(r.stdout); !regexp.MustCompile(`^8 messages to 4 servers over [34] links; the last, \w+, received it \d+\.\d{3} ms after the first\n$`).MatchString(got) {
		t.Errorf("printed %q", got)
	}
}
