//go:build page

package page_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var (
	shots = flag.String("shots", "", "write pictures of the page to this `folder`")
	busy  = flag.Duration("busy", 70*time.Second, "how long clients move before that, for charts to be full")
)

// TestScreenshots takes the pictures of docs: make screenshots.
func TestScreenshots(t *testing.T) {
	if *shots == "" {
		t.Skip("no folder is given with -shots")
	}
	h := newHerd(t, campus(t))
	c := h.travellers(1400)
	b := open(t, h.nodes["Goloman"].url, look{width: 1440, height: 1000})
	b.until(`document.querySelectorAll("#nodes tbody tr").length === 5 && !document.querySelector("#nodes").innerText.includes("none yet")`)
	c.move(32, *busy)
	kiwi := h.device("Welsh")
	kiwi.report("kiwi.cs.ucla.edu", 34.06893, -118.445127, stamp(time.Now()))
	for _, shot := range []struct {
		name, scheme string
		look
	}{
		{"light", "light", look{width: 1440, height: 1000}}, {"dark", "dark", look{width: 1440, height: 1000}}, {"phone", "dark", look{width: 390, height: 844, ratio: 2}},
	} {
		shot.media = map[string]string{"prefers-color-scheme": shot.scheme}
		if shot.name == "phone" {
			b = open(t, h.nodes["Goloman"].url, shot.look)
			c.move(32, 9*time.Second)
		} else {
			b.view(shot.look)
			value[bool](b, `(document.querySelector("#wanted").value = "kiwi.cs.ucla.edu", document.querySelector("#search").requestSubmit(), true)`)
		}
		c.move(32, time.Second)
		kiwi.report("kiwi.cs.ucla.edu", 34.06893, -118.445127, stamp(time.Now()))
		c.move(32, 2*time.Second)
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
