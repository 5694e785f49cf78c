//go:build page

package page_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var shots = flag.String("shots", "", "write pictures of the page to this `folder`")

// TestScreenshots takes the pictures of docs: make screenshots.
func TestScreenshots(t *testing.T) {
	if *shots == "" {
		t.Skip("no folder is given with -shots")
	}
	h := newHerd(t, campus(t))
	c := h.crowd(1400)
	for _, shot := range []struct {
		name, scheme string
		look
	}{
		{"light", "light", look{width: 1440, height: 1000}}, {"dark", "dark", look{width: 1440, height: 1000}}, {"phone", "light", look{width: 390, height: 844, ratio: 2}},
	} {
		shot.media = map[string]string{"prefers-color-scheme": shot.scheme}
		b := open(t, h.nodes["Goloman"].url, shot.look)
		b.until(`document.querySelectorAll("#nodes tbody tr").length === 5 && !document.querySelector("#nodes").innerText.includes("none yet")`)
		c.move(32, 8*time.Second)
		if shot.width > 600 {
			value[bool](b, `(document.querySelector("#wanted").value = "kiwi.cs.ucla.edu", document.querySelector("#search").requestSubmit(), true)`)
		}
		h.device("Welsh").report("kiwi.cs.ucla.edu", 34.06893, -118.445127, stamp(time.Now()))
		c.move(32, time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.move(32, 2*time.Second)
		}()
		picture := b.screenshot()
		<-done
		if err := os.WriteFile(filepath.Join(*shots, "page-"+shot.name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes", shot.name, len(picture))
	}
}
