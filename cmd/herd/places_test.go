package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"herd/places/importer"
)

// An import that is interrupted while it waits for standard input leaves all as it was.
func TestPlacesImportInterrupted(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "places.tsv.zst")
	if err := os.WriteFile(out, []byte("as it was"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin, w := io.Pipe()
	r := start(t, stdin, "places", "import", "-", "-o", out, "--attribution", "")
	for range 2 { // the second is read when the first was
		if _, err := w.Write([]byte("name,lat,lon\n")); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	code, stdout, stderr := r.remaining()
	if want := "herd: interrupted; " + out + " is as it was\n"; code != exitFailed || stdout != "" || stderr != want {
		t.Errorf("exit %d, %q, %q; want %d, nothing, %q", code, stdout, stderr, exitFailed, want)
	}
	files, err := os.ReadDir(dir)
	if text, e := os.ReadFile(out); errors.Join(err, e) != nil || len(files) != 1 || string(text) != "as it was" {
		t.Errorf("%v, %q, want only what was there", files, text)
	}
	_ = w.Close()
}

func TestImporting(t *testing.T) {
	for _, c := range []struct {
		done importer.Progress
		want string
	}{
		{importer.Progress{Read: 7, Places: 1}, "1 place"},
		{importer.Progress{Read: 25, Size: 100, Places: 3}, "[##########..............................] 25%, 3 places"},
		{
			importer.Progress{Read: 100, Size: 100, Passes: 2},
			"[########################################] 100%, 0 places, looking for positions of ways and relations, pass 2",
		},
	} {
		if got := importing(c.done); got != c.want {
			t.Errorf("%+v: %q, want %q", c.done, got, c.want)
		}
	}
}
