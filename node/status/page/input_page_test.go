//go:build page

package page_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"herd/node"
	"herd/node/status"
)

func unobserved(c *node.Config) { c.Status.Observer = status.Unobserved("http.observe is off") }

// at has a node's page be where it was.
func at(t *testing.T, url string) func(*node.Config) {
	return func(c *node.Config) {
		_ = c.HTTP.Close()
		l, err := net.Listen("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
		if err != nil {
			t.Fatal(err)
		}
		c.HTTP = l
	}
}

// At phone width nothing makes the page scroll sideways, nor does anything stick out of it.
func TestPhone(t *testing.T) {
	h := newHerd(t, campus(t))
	h.travellers(200)
	for _, width := range []int64{320, 375, 768, 1000, 1100} {
		b := open(t, h.nodes["Goloman"].url, look{width: width, height: 800})
		b.until(settled)
		h.device("Goloman").report(strings.Repeat("w", 900), 1, float64(width%180), stamp(time.Now()))
		b.until(`document.querySelector("#log .rows").textContent.includes("wwww")`)
		value[bool](b, `([...document.querySelectorAll("#log .id")].find((e) => e.textContent.includes("wwww")).click(), true)`)
		b.until(`!document.querySelector("#client").hidden`)
		value[bool](b, `(document.querySelector("#speak form").requestSubmit(), true)`)
		b.until(`!document.querySelector("#speak pre").hidden`)
		out := value[[]string](b, `[...document.querySelectorAll("body *")].filter((e) => {
			const r = e.getBoundingClientRect();
			return (r.right > document.documentElement.clientWidth + 0.5 || r.left < -0.5) && !e.closest(".skip, .scroll, #map, .rows, pre");
		}).map((e) => e.tagName + "#" + e.id + "." + e.getAttribute("class") + " " + e.textContent.slice(0, 20) + e.getBoundingClientRect().right)`)
		if len(out) > 0 || value[bool](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
			t.Errorf("at %d px the page scrolls sideways: %q", width, out)
		}
	}
}

// Everything can be done with the keyboard alone, and where it is can be seen.
func TestKeyboard(t *testing.T) {
	h := newHerd(t, campus(t))
	h.device("Welsh").report("kiwi.cs.ucla.edu", 34.06893, -118.445127, "1520023934.918963997")
	b := open(t, h.nodes["Goloman"].url, wide)
	b.until(settled)
	// to goes on with the Tab key to an element.
	to := func(selector string) {
		t.Helper()
		for range 60 {
			b.do(chromedp.KeyEvent(kb.Tab))
			if value[bool](b, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
				if ring := value[string](b, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle + " " + s.outlineWidth })()`); ring != "solid 2px" && ring != "auto 1px" &&
					selector != "#speak [name=command]" {
					t.Errorf("focus on %s is shown as %q", selector, ring)
				}
				return
			}
		}
		t.Fatalf("no way to %s", selector)
	}
	to(".skip")
	to("#theme")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`document.documentElement.dataset.theme === "light"`)
	to("#wanted")
	b.do(chromedp.KeyEvent("kiwi.cs.ucla.edu"), chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("#client .who").textContent === "kiwi.cs.ucla.edu" && document.querySelector("#client .server").textContent === "Welsh"`)
	to("#map")
	for _, key := range []string{"+", "+", kb.ArrowLeft, kb.ArrowDown} {
		b.do(chromedp.KeyEvent(key))
	}
	b.until(`document.querySelector("#map").classList.contains("zoomed")`)
	b.do(chromedp.KeyEvent("0"))
	b.until(`!document.querySelector("#map").classList.contains("zoomed")`)
	to("#client button")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("#client").hidden`)
	to("#log [name=text]")
	to("#log [name=pause]")
	b.do(chromedp.KeyEvent(" "))
	b.until(`document.querySelector("#log [name=pause]").getAttribute("aria-pressed") === "true"`)
	to("#log .rows")
	to("#speak [name=command]")
	b.do(chromedp.KeyEvent(kb.ArrowRight)) // WHATSAT
	b.until(`document.querySelector("#speak output").textContent === "WHATSAT kiwi.cs.ucla.edu 10 5"`)
	to("#speak [name=send]")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("#speak pre").textContent.startsWith("AT·Welsh·+")`)
	if reply := value[string](b, `document.querySelector("#speak pre").textContent`); !strings.HasSuffix(reply, "}↵\n↵\n") || !strings.Contains(reply, "UCLA") {
		t.Errorf("the reply is shown as %q", reply)
	}
}

// A client is found by its ID, and the path of its next report is shown, on the graph as well.
func TestFollow(t *testing.T) {
	h := newHerd(t, campus(t))
	d := h.device("Welsh")
	d.report("kiwi.cs.ucla.edu", 34.06893, -118.445127, "1520023934.918963997")
	b := open(t, h.nodes["Goloman"].url, wide)
	b.until(settled)
	find := func(id string) {
		value[bool](b, fmt.Sprintf(`(document.querySelector("#wanted").value = %q, document.querySelector("#search").requestSubmit(), true)`, id))
	}
	b.pardon("/api/v1/clients/emu") // 404, as it should be
	find("emu")
	b.until(`document.querySelector("#found").textContent.includes("No report is held of a client with the ID emu.")`)
	find("kiwi.cs.ucla.edu")
	b.until(`document.querySelector("#client .time").textContent === "1520023934.918963997" && document.querySelector("#client .note").textContent === "Its path is shown from its next report on."`)
	d.report("kiwi.cs.ucla.edu", 35, -118, stamp(time.Now()))
	b.until(`document.querySelector("#client li.duplicate")?.textContent === "and 4 duplicates"`) // 8 in all: what a flood of the campus costs
	if shown := value[int](b, `document.querySelectorAll("#client li:not(.duplicate)").length`); shown != 4 {
		t.Errorf("%d transfers were new, want one to each other server", shown)
	}
	first := value[string](b, `document.querySelector("#client li .way").textContent`)
	if first != "Welsh → Holiday" {
		t.Errorf("the first transfer is %s", first)
	}
	if drawn := value[int](b, `document.querySelectorAll("#topology .transfer:not(.duplicate)").length`); drawn != 4 {
		t.Errorf("%d transfers are drawn", drawn)
	}
	t.Log(value[string](b, `document.querySelector("#client").innerText`))
}
