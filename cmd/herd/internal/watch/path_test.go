package watch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herd/cmd/herd/internal/terminal"
	"herd/node/topology"

	"herd/configs"
	"herd/node/line"
)

// step is a message of a test: the time since the one before, its sender and its receiver.
type step struct {
	after    time.Duration
	from, to string
}

// follow returns what is shown of the floods of a report at Hands, in the campus, and how long after the last message it all was.
func follow(t *testing.T, text string, messages []step, stop bool) (shown string, after time.Duration) {
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
		f := newFollower(config.Topology(), terminal.Ink{}, func(text []byte) {
			shown += string(text)
			after = time.Since(last)
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { f.run(ctx) })
		for _, m := range messages {
			time.Sleep(m.after)
			last = time.Now()
			f.add(message{last, m.from, m.to, report})
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

// A flood is shown when its last message was seen, as the tree along which servers learned: not along the first message to each, if its sender received the report as well.
func TestFollowComplete(t *testing.T) {
	const want = `00:00:00.000  kiwi  +34-118  1795349057.5
Hands +0.001116143    since first   since sender
├─ Goloman               0.000 ms              –
│  ├─ Wilkes             1.100 ms       1.100 ms  duplicate
│  └─ Holiday            1.250 ms       1.250 ms  duplicate
└─ Wilkes                0.100 ms              –
   ├─ Goloman            1.100 ms       1.000 ms  duplicate
   └─ Holiday            2.250 ms       2.150 ms
      ├─ Goloman         2.250 ms       0.000 ms  duplicate
      └─ Welsh           5.250 ms       3.000 ms
8 messages to 4 servers over 3 links; the last, Welsh, received it 5.250 ms after the first

`
	shown, after := follow(t, campusReport, []step{
		{0, "Hands", "Goloman"},
		{100 * time.Microsecond, "Hands", "Wilkes"},
		{time.Millisecond, "Goloman", "Wilkes"},
		{0, "Wilkes", "Goloman"},
		{150 * time.Microsecond, "Goloman", "Holiday"}, // which sends to Goloman, so it had the report from elsewhere
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
Hands +0.001116143            since first   since sender
└─ Goloman                       0.000 ms              –
Wilkes, received otherwise
└─ Holiday                     900.000 ms              –
2 of 8 messages to 2 servers over 1 link; the last, Holiday, received it 900.000 ms after the first; not observed: Welsh

`
	messages := []step{{0, "Hands", "Goloman"}, {900 * time.Millisecond, "Wilkes", "Holiday"}}
	for _, stop := range []bool{false, true} {
		shown, after := follow(t, campusReport, messages, stop)
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
	shown, _ := follow(t, campusReport, []step{{0, "Hands", "\x1b[2J"}, {0, "\x1b[2J", "\x1b[2J"}, {0, "Oak", "Hands"}}, false)
	const want = `00:00:00.000  kiwi  +34-118  1795349057.5
Hands +0.001116143         since first   since sender
└─ "\x1b[2J"                  0.000 ms              –
   └─ "\x1b[2J"               0.000 ms       0.000 ms  duplicate
Oak, received otherwise
└─ Hands                      0.000 ms              –  duplicate
3 messages to 1 server over 1 link; the last, "\x1b[2J", received it 0.000 ms after the first

`
	if shown != want {
		t.Errorf("shown\n%s\nwant\n%s", shown, want)
	}
}

// However many floods are in progress, and however many messages they take, memory is bounded.
func TestFollowBounds(t *testing.T) {
	topology, err := topology.New([]line.NodeName{"A", "B"}, [][2]line.NodeName{{"A", "B"}})
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	f := newFollower(topology, terminal.Ink{}, func([]byte) { ended++ })
	for i := range maxFloods + 3 {
		r, err := line.ParseReport(fmt.Sprintf("A +0.000000000 c +1+1 %d", i))
		if err != nil {
			t.Fatal(err)
		}
		f.apply(message{from: "X", to: "B", report: r})
	}
	if len(f.floods) != maxFloods || ended != 3 {
		t.Errorf("%d floods in flight, %d over", len(f.floods), ended)
	}
	newest := f.floods[maxFloods-1].report
	for range maxMessages - 1 {
		f.apply(message{from: "X", to: "B", report: newest})
	}
	if len(f.floods) != maxFloods-1 || ended != 4 {
		t.Errorf("%d floods in flight, %d over", len(f.floods), ended)
	}
}
