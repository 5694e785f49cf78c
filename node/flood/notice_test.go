package flood

import (
	"strings"
	"testing"
	"time"

	"herd/bus/subject"
)

// A neighbour that says of each heartbeat something else, as duplicates do or who means ill, does not fill the log.
func TestNoticesBounded(t *testing.T) {
	var notices []Notice
	e := NewEngine(Config{Name: "A", Topology: star(t, "A", "B"), OnNotice: func(n Notice) { notices = append(notices, n) }})
	now := time.Unix(1_700_000_000, 0)
	e.Connect(now)
	for i := range 600 {
		b := heartbeat{incarnation: subject.Incarnation{1}, cutoff: keepAll, topologyPrint: uint64(i), retention: time.Duration(i % 2)}
		payload := append(b.append(nil), " links="+strings.Repeat(strings.Repeat("x", i)+",", 40)...)
		if err := e.Links()[0].Receive(now, Message{Kind: subject.Heartbeat, Payload: payload}, nil); err != nil {
			t.Fatal(err)
		}
		now = now.Add(100 * time.Millisecond)
	}
	count := make(map[NoticeKind]int)
	for _, n := range notices {
		count[n.Kind]++
		if len(n.Detail) > 4000 {
			t.Errorf("a notice of %d bytes", len(n.Detail))
		}
	}
	if count[OtherTopology] != 1 || count[OtherRetention] != 1 {
		t.Errorf("in a minute %d notices of topology, %d of retention", count[OtherTopology], count[OtherRetention])
	}
	if s := e.Links()[0].Status(); s.SameTopology || len(s.Differences) > 4000 {
		t.Errorf("status %+v", s)
	}
}
