package main

import (
	"bytes"
	"testing"
)

// Progress is told at once and then every 200 ms, to nobody where there is no terminal.
func TestProgress(t *testing.T) {
	var told bytes.Buffer
	g := progress{stderr: &told}
	for range 3 {
		g.tell(func() string { return "5 reports" })
	}
	g.end()
	if got, want := told.String(), "\r5 reports\x1b[K\r\x1b[K"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	p := program{stderr: &told}
	if p.progress(nil).stderr != nil {
		t.Error("progress is told where there is no terminal")
	}
}
