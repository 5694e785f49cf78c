//go:build page

package page_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"herd/node"
)

// Where a token is needed, the page is behind a form; what runs there keeps to the same policy.
func TestLogin(t *testing.T) {
	h := newHerd(t, campus(t), func(c *node.Config) { c.Status.Token = "a token that nobody guesses" })
	b := open(t, h.nodes["Hands"].url, wide)
	b.pardon("/login") // 401, for a wrong one
	b.until(`document.activeElement.id === "token" && document.title === "Hands – log in"`)
	b.do(chromedp.KeyEvent("another"), chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector(".fault")?.textContent === "That is not the token."`)
	b.do(chromedp.KeyEvent("a token that nobody guesses"), chromedp.KeyEvent(kb.Enter))
	b.until(`location.pathname === "/" && ` + settled)
	b.until(`!document.querySelector("#logout").hidden`)
	value[bool](b, `(document.querySelector("#logout").requestSubmit(), true)`)
	b.until(`document.title === "Hands – log in"`)
}

// The policy is in force, and the tests would notice a violation.
func TestPolicy(t *testing.T) {
	h := newHerd(t, campus(t))
	b := open(t, h.nodes["Hands"].url, wide)
	b.until(settled)
	b.pardon("Content Security Policy")
	value[bool](b, `(document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='window.ran = true'>"), document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = true" })), true)`)
	b.until(`document.querySelector("#live").textContent === "live" && performance.now() > 0`)
	if value[bool](b, `Boolean(window.ran)`) {
		t.Error("an inline script ran")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) == 0 {
		t.Error("nobody complained of an inline script")
	}
}
