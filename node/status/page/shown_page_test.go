//go:build page

package page_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

var wide = look{width: 1440, height: 1000}

// settled is when the page has everything from its node.
const settled = `document.querySelector("#live").textContent === "live" && document.querySelectorAll("#links tbody .state.up").length > 0 &&
	document.querySelectorAll("#nodes tbody tr .marks").length === 5 && document.querySelectorAll(".edge.up").length === 6`

// dots counts the pixels of clients on the map.
const dots = `(() => {
	const c = document.querySelectorAll("#map canvas")[2], d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
	let n = 0;
	for (let i = 3; i < d.length; i += 4) if (d[i] > 0) n++;
	return n;
})()`

// A report sent to one server by TCP is on the page of another within a second: on the map, in the log, on the links.
func TestReport(t *testing.T) {
	h := newHerd(t, campus(t))
	b := open(t, h.nodes["Welsh"].url, wide)
	b.pardon("willReadFrequently") // of the test's own looking at the map
	b.until(settled)
	d := h.device("Goloman")
	for _, id := range []string{"kiwi.cs.ucla.edu", "emu"} {
		before := value[int](b, dots)
		value[bool](b, fmt.Sprintf(`(window.seen = new Promise((done) => {
			const times = {};
			const look = () => {
				const now = Date.now();
				if (!times.map && %[1]s > %[2]d) times.map = now;
				if (!times.log && document.querySelector("#log .rows").textContent.includes(%[3]q)) times.log = now;
				if (!times.link && document.querySelectorAll("#topology .edge[data-link=Holiday-Welsh] .lane:not([data-flow='0'])").length > 0) times.link = now;
				if (times.map && times.log && times.link) done(times);
				else requestAnimationFrame(look);
			};
			look();
		}), true)`, dots, before, id))
		sent := time.Now()
		d.report(id, 34.06893, -118.445127+float64(before), stamp(sent))
		for where, at := range value[map[string]float64](b, "seen") {
			took := at - float64(sent.UnixMicro())/1000
			t.Logf("%s: on the %s after %.0f ms", id, where, took)
			if took > 1000 {
				t.Errorf("%s: on the %s after %.0f ms", id, where, took)
			}
		}
		b.until(`document.querySelectorAll("#topology .lane:not([data-flow='0'])").length === 0`) // and they fade
	}
}

// A link that is cut turns red at both ends' pages and is named; it heals.
func TestCut(t *testing.T) {
	h := newHerd(t, campus(t))
	b := open(t, h.nodes["Hands"].url, wide)
	b.until(settled)
	edge := func(state, link string) string {
		return fmt.Sprintf(`document.querySelector(".edge.%s[data-link=%s]")`, state, link)
	}
	h.cut("Goloman", "Hands")
	b.until(edge("down", "Goloman-Hands"))
	b.until(`getComputedStyle(document.querySelector(".edge.down .wire")).stroke === "rgb(179, 32, 27)"`) // red, in light colours
	b.until(`document.querySelector("#links [data-peer=Goloman] .state.down") && document.querySelector("#topology-note").textContent.includes("Goloman–Hands down")`)
	if n := value[int](b, `[...document.querySelectorAll(".edge .wire")].filter((e) => getComputedStyle(e).stroke === "rgb(179, 32, 27)").length`); n != 1 {
		t.Errorf("%d links are red", n)
	}
	if !value[bool](b, `document.querySelector("#announcement").textContent.includes("Goloman–Hands down")`) {
		t.Error("a screen reader is not told")
	}
	h.cut("Holiday", "Welsh") // of others: known by their records
	b.until(edge("down", "Holiday-Welsh"))
	h.heal("Goloman", "Hands")
	h.heal("Holiday", "Welsh")
	b.until(settled)

	h.cut("Goloman", "Hands")
	h.cut("Hands", "Wilkes")
	b.until(`document.querySelector("#banners").textContent.includes("Hands is cut off: all its links are down")`)
	h.heal("Goloman", "Hands")
	b.until(`document.querySelector("#banners").textContent === ""`)
}

// The page says when its node is gone, and goes on when it is back.
func TestLost(t *testing.T) {
	h := newHerd(t, campus(t))
	b := open(t, h.nodes["Hands"].url, wide)
	b.pardon("ERR_CONNECTION_REFUSED")
	b.pardon("ERR_INCOMPLETE_CHUNKED_ENCODING")
	b.pardon("ERR_CONNECTION_RESET")
	b.pardon("ERR_EMPTY_RESPONSE")
	b.until(settled)
	address := h.nodes["Hands"].url
	h.nodes["Hands"].stop()
	b.until(`document.querySelector("#banners").textContent.includes("event stream is lost")`)
	h.start("Hands", at(t, address))
	b.until(`document.querySelector("#banners").textContent === "" && ` + settled)
}

// Without an observer's connection the page shows the node's own links and says so.
func TestUnobserved(t *testing.T) {
	h := newHerd(t, campus(t), unobserved)
	b := open(t, h.nodes["Hands"].url, wide)
	b.until(settled)
	b.until(`document.querySelector("#topology-note").textContent === "Shows only its own links: http.observe is off"`)
	h.device("Welsh").report("emu", 1, 1, stamp(time.Now()))
	b.until(`document.querySelector("#log .rows").textContent.includes("emu")`)
}

// hostile are IDs that somebody might choose.
var hostile = []struct{ id, shown string }{
	{`<script>alert(1)</script>`, `<script>alert(1)</script>`},
	{`"><img/src=x/onerror=alert(1)>`, `"><img/src=x/onerror=alert(1)>`},
	{`'";--${alert(1)}{{alert(1)}}`, `'";--${alert(1)}{{alert(1)}}`},
	{"ctl\x00\x01\x1b[31m\x7f\u0085", `ctl\x00\x01\x1b[31m\x7f\x85`},
	{"bidi\u202egnp.exe\u2066\u200b", `bidi\u{202e}gnp.exe\u{2066}\u{200b}`},
	{"bad\xff\xc0utf\xe2\x82", `bad\xff\xc0utf\xe2\x82`},
	{strings.Repeat("long", 250), strings.Repeat("long", 250)},
	{"__proto__", "__proto__"},
	{"%2e%2e/..", "%2e%2e/.."},
	{".", "."},
}

// What clients call themselves is shown as text, wherever it is, and nothing runs: neither a dialog nor a violated policy is forgiven.
func TestHostile(t *testing.T) {
	h := newHerd(t, campus(t))
	b := open(t, h.nodes["Welsh"].url, wide)
	b.until(settled)
	d := h.device("Goloman")
	for i, c := range hostile {
		d.report(c.id, float64(5*i), float64(10*i), stamp(time.Now()))
	}
	for _, c := range hostile {
		shown, _ := json.Marshal(c.shown)
		value[bool](b, fmt.Sprintf(`(document.querySelector("#log [name=text]").value = %s, document.querySelector("#log form").dispatchEvent(new Event("input")), true)`, shown))
		row := fmt.Sprintf(`[...document.querySelectorAll("#log .row .id")].find((e) => (e.title || e.textContent) === %s)`, shown)
		b.until(row)
		value[bool](b, fmt.Sprintf(`(%s.click(), true)`, row))
		if c.id == "." {
			b.until(`document.querySelector("#found").textContent.startsWith("Not found: a browser takes . and ..")`)
			continue
		}
		who := fmt.Sprintf(`!document.querySelector("#client").hidden && [...document.querySelectorAll("#client .who .id")].some((e) => (e.title || e.textContent) === %s)`, shown)
		b.until(who)
		if c.id != c.shown {
			continue // cannot be typed in
		}
		value[bool](b, fmt.Sprintf(`(document.querySelector("#client button").click(), document.querySelector("#wanted").value = %s, document.querySelector("#search").requestSubmit(), true)`, shown))
		b.until(who)
	}
	if n := value[int](b, `document.querySelectorAll("main script, main img").length`); n != 0 {
		t.Errorf("%d elements were made of text", n)
	}
	if wide := value[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		t.Errorf("the page is %d px too wide", wide)
	}
	// As part of a reply as well.
	value[bool](b, `(document.querySelector("#speak form").elements.client.value = "<b>\u202e", document.querySelector("#speak form").requestSubmit(), true)`)
	b.until(`document.querySelector("#speak pre").textContent.includes("·<b>\\u{202e}·") && document.querySelectorAll("#speak pre b").length === 0`)
}
