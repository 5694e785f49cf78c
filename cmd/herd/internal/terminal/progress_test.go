package terminal

import (
	"bytes"
	"testing"
)

// Progress is shown at once and then every 200 ms, and not where there is no terminal.
func TestProgress(t *testing.T) {
	var shown bytes.Buffer
	g := Progress{to: &shown}
	for range 3 {
		g.Show(func() string { return "5 reports" })
	}
	g.Clear()
	if got, want := shown.String(), "\r5 reports\x1b[K\r\x1b[K"; got != want {
		t.Errorf("shown %q, want %q", got, want)
	}
	if NewProgress(&shown).to != nil {
		t.Error("progress is shown where there is no terminal")
	}
}
