package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/topology"

	"herd/configs"
	"herd/node/line"
)

// teller is a hop of a test: how long after the one before it was seen, and who tells whom.
type teller struct {
	after    time.Duration
	from, to string
}

// follow returns what is shown of the floods of a report at Hands, in the campus, and how long after the last hop it all was.
func follow(t *testing.T, text string, hops []teller, stop bool) (shown string, after time.Duration) {
	t.Helper()
	config, err := configs.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := line.ParseReport(text)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		f := newFollower(config.Topology(), newInk(false, config), func(text []byte) {
			shown += string(text)
			after = time.Since(last)
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { f.run(ctx) })
		for _, h := range hops {
			time.Sleep(h.after)
			last = time.Now()
			f.see(hop{last, h.from, h.to, report})
		}
		if !stop {
			time.Sleep(2 * quiet)
		}
		cancel()
		running.Wait()
	})
	return shown, after
}

const campusReport = "Hands +0.001116143 kiwi +34-118 1795349057.5"

// A flood is shown when its last message was seen, as the tree along which servers learned: not of whoever was seen first, if that one was told as well.
func TestFollowComplete(t *testing.T) {
	const want = `00:00:00.000  kiwi  +34-118  1795349057.5
Hands +0.001116143    since first      since hop
├─ Goloman               0.000 ms              –
│  ├─ Wilkes             1.100 ms       1.100 ms  knew it
│  └─ Holiday            1.250 ms       1.250 ms  knew it
└─ Wilkes                0.100 ms              –
   ├─ Goloman            1.100 ms       1.000 ms  knew it
   └─ Holiday            2.250 ms       2.150 ms
      ├─ Goloman         2.250 ms       0.000 ms  knew it
      └─ Welsh           5.250 ms       3.000 ms
8 messages to 4 servers over 3 hops; the last, Welsh, was told 5.250 ms after the first

`
	shown, after := follow(t, campusReport, []teller{
		{0, "Hands", "Goloman"},
		{100 * time.Microsecond, "Hands", "Wilkes"},
		{time.Millisecond, "Goloman", "Wilkes"},
		{0, "Wilkes", "Goloman"},
		{150 * time.Microsecond, "Goloman", "Holiday"}, // who tells Goloman: so it is not from there that it knows
		{time.Millisecond, "Wilkes", "Holiday"},
		{0, "Holiday", "Goloman"},
		{3 * time.Millisecond, "Holiday", "Welsh"},
	}, false)
	if shown != want || after != 0 {
		t.Errorf("%s after the last message:\n%s\nwant\n%s", after, shown, want)
	}
}

// One of which not all is seen is shown after a quiet moment, or when watching ends, with what is missing, and who must have learned otherwise.
func TestFollowIncomplete(t *testing.T) {
	const want = `00:00:00.000  kiwi  +34-118  1795349057.5
Hands +0.001116143               since first      since hop
└─ Goloman                          0.000 ms              –
Wilkes, who learned otherwise
└─ Holiday                        900.000 ms              –
2 of 8 messages to 2 servers over 1 hop; the last, Holiday, was told 900.000 ms after the first; not seen: Welsh

`
	hops := []teller{{0, "Hands", "Goloman"}, {900 * time.Millisecond, "Wilkes", "Holiday"}}
	for _, stop := range []bool{false, true} {
		shown, after := follow(t, campusReport, hops, stop)
		due := quiet
		if stop {
			due = 0
		}
		if shown != want || after != due {
			t.Errorf("%s after the last message:\n%s\nwant %s after it\n%s", after, shown, due, want)
		}
	}
}

// Servers of another topology than the configured one, under names that nobody chooses who means well.
func TestFollowElsewhere(t *testing.T) {
	shown, _ := follow(t, campusReport, []teller{{0, "Hands", "\x1b[2J"}, {0, "\x1b[2J", "\x1b[2J"}, {0, "Oak", "Hands"}}, false)
	const want = `00:00:00.000  kiwi  +34-118  1795349057.5
Hands +0.001116143            since first      since hop
└─ "\x1b[2J"                     0.000 ms              –
   └─ "\x1b[2J"                  0.000 ms       0.000 ms  knew it
Oak, who learned otherwise
└─ Hands                         0.000 ms              –  knew it
3 messages to 1 server over 1 hop; the last, "\x1b[2J", was told 0.000 ms after the first

`
	if shown != want {
		t.Errorf("shown\n%s\nwant\n%s", shown, want)
	}
}

// However many floods are under way, and however many messages they take, memory is bounded.
func TestFollowBounds(t *testing.T) {
	topology, err := topology.New([]line.NodeName{"A", "B"}, [][2]line.NodeName{{"A", "B"}})
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	f := newFollower(topology, ink{}, func([]byte) { ended++ })
	for i := range maxSpreads + 3 {
		r, err := line.ParseReport(fmt.Sprintf("A +0.000000000 c +1+1 %d", i))
		if err != nil {
			t.Fatal(err)
		}
		f.take(hop{from: "X", to: "B", report: r})
	}
	if len(f.underWay) != maxSpreads || ended != 3 {
		t.Errorf("%d floods under way, %d over", len(f.underWay), ended)
	}
	newest := f.underWay[maxSpreads-1].report
	for range maxHops - 1 {
		f.take(hop{from: "X", to: "B", report: newest})
	}
	if len(f.underWay) != maxSpreads-1 || ended != 4 {
		t.Errorf("%d floods under way, %d over", len(f.underWay), ended)
	}
}

// In a herd that runs, the tree has each message once, and each server learns once.
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
	if got := r.next(r.stdout); !regexp.MustCompile(`^Hands \+\d+\.\d{9} +since first +since hop\n$`).MatchString(got) {
		t.Errorf("printed %q", got)
	}
	row := regexp.MustCompile(`^[│ ]*[├└]─ (\w+) +\d+\.\d{3} ms +(?:–|\d+\.\d{3} ms)(  knew it)?\n$`)
	var learned []string
	for range 8 {
		got := r.next(r.stdout)
		switch m := row.FindStringSubmatch(got); {
		case m == nil:
			t.Errorf("printed %q", got)
		case m[2] == "":
			learned = append(learned, m[1])
		}
	}
	slices.Sort(learned)
	if got := strings.Join(learned, " "); got != "Goloman Holiday Welsh Wilkes" {
		t.Errorf("%s learned", got)
	}
	if got := r.next(r.stdout); !regexp.MustCompile(`^8 messages to 4 servers over [34] hops; the last, \w+, was told \d+\.\d{3} ms after the first\n$`).MatchString(got) {
		t.Errorf("printed %q", got)
	}
}
