package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"herd/node/line"
	"herd/places"
)

// moody is a provider that fails when it is asked for seven places.
type moody struct{ places.Finder }

func (m moody) Find(ctx context.Context, q places.Query) (places.Answer, error) {
	if q.Bound == 7 {
		return places.Answer{}, errors.New("in a mood")
	}
	return m.Finder.Find(ctx, q)
}

// ended returns how often commands ended in each way, without those in which none did.
func ended(n *Node) map[string]uint64 {
	all := make(map[string]uint64)
	for _, c := range n.Counts().Commands {
		if c.Times > 0 {
			all[c.Name+" "+c.Outcome] = c.Times
		}
	}
	return all
}

// Each line of a client is counted by how it ended, when its answer is there.
func TestCommandsAreCounted(t *testing.T) {
	n := alone(t, func(c *Config) {
		c.Limits.Future = time.Hour
		c.Places = moody{c.Places}
	})
	c := n.dial(t)
	c.send("IAMAT a +34.068930-118.445127 2\nIAMAT a +1-1 1\nIAMAT a +1-1 2\nIAMAT a +1-1 9000000000\nIAMAT b +0.0-150.0 1\n" +
		"WHATSAT a 10 5\nWHATSAT a 10 0\nWHATSAT b 1 5\nWHATSAT a 10 7\nWHATSAT nobody 10 7\n" +
		"AT me\n\n" + strings.Repeat("x", line.MaxLine+1) + "\n")
	if err := c.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.rest()
	want := map[string]uint64{
		"IAMAT admitted": 2, "IAMAT stale": 2, "IAMAT refused": 1,
		"WHATSAT found": 1, "WHATSAT nothing": 2, "WHATSAT failed": 1, "WHATSAT unknown": 1,
		"other invalid": 2, "other too_long": 1,
	}
	if got := ended(n.Node); !maps.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	c = n.dial(t)
	c.send("IAMAT a +1-1 3\n")
	c.paragraph()
	want["IAMAT admitted"]++
	if got := ended(n.Node); !maps.Equal(got, want) {
		t.Errorf("while the client is connected: %v\nwant %v", got, want)
	}
	if opened := n.Counts().Opened; opened != 2 {
		t.Errorf("%d connections, want 2", opened)
	}
}

// The eight messages of a flood on the campus bring four nodes the news, and to some of them once more.
func TestFloodIsCounted(t *testing.T) {
	h, _ := campusOverNATS(t)
	report := h.nodes["Hands"].iamat(t, "kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997")
	h.settled(known(t, report))
	h.told(8)
	h.stop()
	var told, heard, old, duplicates uint64
	for _, m := range h.nodes {
		for _, l := range m.Health().Links {
			told, heard, old, duplicates = told+l.ReportsSent, heard+l.ReportsReceived, old+l.ReportsStale, duplicates+l.ReportsDuplicate
		}
	}
	if got, want := fmt.Sprint(told, heard, old, duplicates), "8 8 4 4"; got != want {
		t.Errorf("told, heard, old and duplicates are %s, want %s", got, want)
	}
}
