package main

import (
	"testing"

	"herd/node/status"
)

// A row says of each link what is most important to know, and of one that owes reports how many.
func TestHealthRow(t *testing.T) {
	h := status.Health{Node: "Welsh", Ready: true, Bus: "connected", Clients: 1}
	for _, test := range []struct {
		link status.Link
		want string
	}{
		{status.Link{State: "up"}, "Holiday up"},
		{status.Link{State: "up", ReportsOwed: 12, InFlightBytes: 4096}, "Holiday up (12 owed)"},
		{status.Link{State: "down", ReportsOwed: 12}, "Holiday down (12 owed)"},
		{status.Link{State: "up", ReportsOwed: 12, ClockOffsetSeconds: new(-60.4)}, "Holiday up (its clock -60 s)"},
		{status.Link{State: "up", ReportsOwed: 12, DuplicateName: true}, "Holiday up (duplicate name)"},
	} {
		test.link.Peer = "Holiday"
		h.Links = []status.Link{test.link}
		target := probeTarget{health: h}
		if got, want := target.row(), "Welsh\tready\tbus connected\t1 client\t0 sessions\t"+test.want; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
