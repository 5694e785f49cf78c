package node

import (
	"fmt"
	"testing"
)

// The eight messages of a flood on the campus bring four nodes a new report, and some of them the same once more.
func TestFloodIsCounted(t *testing.T) {
	h, _ := campusOverNATS(t)
	report := h.nodes["Hands"].iamat(t, "kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997")
	h.awaitContents(known(t, report))
	h.awaitMessages(8)
	h.stop()
	var sent, received, stale, duplicates uint64
	for _, m := range h.nodes {
		for _, l := range m.Health().Links {
			sent, received, stale, duplicates = sent+l.ReportsSent, received+l.ReportsReceived, stale+l.ReportsStale, duplicates+l.ReportsDuplicate
		}
	}
	if got, want := fmt.Sprint(sent, received, stale, duplicates), "8 8 4 4"; got != want {
		t.Errorf("told, heard, old and duplicates are %s, want %s", got, want)
	}
}
