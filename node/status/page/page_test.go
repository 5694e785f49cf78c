package page

import (
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, name string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, name, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler(false).ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	for name, f := range files() {
		if name == "/ and out" {
			continue
		}
		w := get(t, name)
		if want := types[path.Ext(name)]; name != "/" && (want == "" || w.Header().Get("Content-Type") != want) {
			t.Errorf("%s is %q, want %q", name, w.Header().Get("Content-Type"), want)
		}
		if w.Code != 200 || w.Body.String() != string(f.plain) || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d, %d bytes, %v", name, w.Code, w.Body.Len(), w.Header())
		}
		for _, form := range []string{"", "br, gzip"} {
			tag := get(t, name, "Accept-Encoding", form).Header().Get("ETag")
			again := get(t, name, "Accept-Encoding", form, "If-None-Match", tag)
			if tag == "" || again.Code != http.StatusNotModified || again.Body.Len() != 0 {
				t.Errorf("%s as %q with its tag %s: %d, %d bytes", name, form, tag, again.Code, again.Body.Len())
			}
		}
	}
	if w := get(t, "/"); w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the page is %q", w.Header().Get("Content-Type"))
	}
	for _, name := range []string{"/assets/", "/assets/index.html", "/assets/../page.go", "/other"} {
		if w := get(t, name); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// A strict policy permits nothing inline, and the page nothing from elsewhere; markup is never made of text.
func TestNothingInline(t *testing.T) {
	forbidden := regexp.MustCompile(`(?i)<script(>| [^>]*>[^<])|<style|\sstyle=|\son[a-z]+=|javascript:|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("style"|cssText`)
	elsewhere := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9-]+\.[a-z]`)
	for name, f := range files() {
		text := string(f.plain)
		if found := forbidden.FindString(text); found != "" {
			t.Errorf("%s has %q", name, found)
		}
		if found := elsewhere.FindString(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
}

// Whatever the page requests is there.
func TestComplete(t *testing.T) {
	for name, f := range files() {
		for _, found := range regexp.MustCompile(`(?:from "\./|"assets/)([^"]+)"`).FindAllStringSubmatch(string(f.plain), -1) {
			if w := get(t, "/assets/"+found[1]); w.Code != http.StatusOK {
				t.Errorf("%s wants %s: %d", name, found[1], w.Code)
			}
		}
	}
}

// Only who had to log in can log out.
func TestWayOut(t *testing.T) {
	for _, login := range []bool{false, true} {
		w := httptest.NewRecorder()
		Handler(login).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if hidden := strings.Contains(w.Body.String(), `action="logout" method="post" hidden>`); hidden == login {
			t.Errorf("with a login %v, the way out is hidden: %v", login, hidden)
		}
	}
}
