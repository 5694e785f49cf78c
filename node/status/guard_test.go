package status

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/admit"
)

const token = "0123456789abcdef-right"

// newController returns a controller without limits.
func newController() *admit.Controller {
	return admit.New(admit.Limits{}, func(string, admit.Reason, int, admit.Detail) {})
}

// refusedOnly reports whether a server has refused something for each of these reasons, once, and nothing else.
func refusedOnly(s *Server, reasons ...admit.Reason) bool {
	want := make(map[string]uint64)
	for _, r := range reasons {
		want[r.String()]++
	}
	return maps.Equal(s.config.Admit.Counts(), want)
}

// at has a request come to an address of the server.
func at(address string) func(*http.Request) {
	return func(r *http.Request) {
		to := net.Addr(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, to))
	}
}

// Without a token this machine may look, and all others only if the server is open. With one, who shows it.
func TestAuthorized(t *testing.T) {
	here, there := at("127.0.0.1:8125"), at("192.0.2.1:8125")
	right, wrong := header("Authorization", "bearer  "+token+" "), header("Authorization", "Bearer "+token+"x")
	basic := header("Authorization", "Basic "+token)
	for _, c := range []struct {
		name    string
		config  Config
		adjust  []func(*http.Request)
		code    int
		refused []admit.Reason
	}{
		{"here", Config{}, []func(*http.Request){here}, 404, nil},
		{"there", Config{}, []func(*http.Request){there}, 403, nil},
		{"nowhere", Config{}, nil, 403, nil},
		{"there, with a token of none", Config{}, []func(*http.Request){there, header("Authorization", "Bearer ")}, 403, nil},
		{"open", Config{Open: true}, []func(*http.Request){there}, 404, nil},
		{"here, no token", Config{Token: token}, []func(*http.Request){here}, 401, nil},
		{"open, no token", Config{Token: token, Open: true}, []func(*http.Request){there}, 401, nil},
		{"right", Config{Token: token}, []func(*http.Request){there, right}, 404, nil},
		{"wrong", Config{Token: token}, []func(*http.Request){there, wrong}, 401, []admit.Reason{admit.WrongToken}},
		{"another scheme", Config{Token: token}, []func(*http.Request){there, basic}, 401, nil},
		{"in the URL", Config{Token: token}, []func(*http.Request){there, func(r *http.Request) { r.URL.RawQuery = "token=" + token }}, 401, nil},
	} {
		c.config.Source, c.config.Admit = &fixedSource{health: &Health{Node: "Goloman", Ready: true}}, newController()
		s := New(c.config)
		w := answer(s, "GET", "/api/v1/nowhere", c.adjust...)
		if w.Code != c.code || !refusedOnly(s, c.refused...) {
			t.Errorf("%s: %d %s, %v", c.name, w.Code, w.Body, s.config.Admit.Counts())
		}
		if (w.Header().Get("WWW-Authenticate") == `Bearer realm="herd"`) != (w.Code == 401) {
			t.Errorf("%s: %d says %v", c.name, w.Code, w.Header())
		}
		// How it is, everybody may know; more only who may look.
		var h Health
		w = answer(s, "GET", "/readyz", c.adjust...)
		if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || !h.Ready || (h.Node == "Goloman") != (c.code == 404) {
			if c.name != "in the URL" {
				t.Errorf("%s: /readyz says %s", c.name, w.Body)
			}
		}
	}
}

// A page of another site gets nothing done, whether its browser announces it or not.
func TestCrossSite(t *testing.T) {
	for _, c := range []struct {
		name, method string
		headers      map[string]string
		code         int
	}{
		{"own page", "POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, 303},
		{"no browser", "POST", nil, 303},
		{"another", "POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"another port", "POST", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"another, old browser", "POST", map[string]string{"Origin": "http://evil.example"}, 403},
		{"own, old browser", "POST", map[string]string{"Origin": "http://localhost:8125"}, 303},
		{"own page asks", "GET", map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 405},
		{"link", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 405},
		{"picture", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
	} {
		s := New(Config{Source: &fixedSource{health: &Health{}}, Admit: newController(), Open: true})
		var adjust []func(*http.Request)
		for name, value := range c.headers {
			adjust = append(adjust, header(name, value))
		}
		w := answer(s, c.method, "/logout", adjust...)
		if w.Code != c.code || (c.code == 403) != refusedOnly(s, admit.CrossSite) {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", c.name, w.Header())
		}
	}
}

// Who has the token logs in, and is in for 12 hours.
func TestLogIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fixedSource{health: &Health{Node: "Goloman<script>"}}
		s := New(Config{Source: source, Node: "Goloman<script>", Herd: "campus", Admit: newController(), Token: token})
		page := header("Accept", "text/html,*/*")
		w := answer(s, "GET", "/", page)
		if w.Code != 303 || w.Header().Get("Location") != "/login" {
			t.Fatalf("the page says %d %v", w.Code, w.Header())
		}
		if w = answer(s, "GET", "/login", page); w.Code != 200 || !strings.Contains(w.Body.String(), ">Goloman&lt;script&gt;</h1>") {
			t.Fatalf("the form is %d %s", w.Code, w.Body)
		}
		if w = answer(s, "GET", "/assets/page.css"); w.Code != 200 || w.Header().Get("Content-Type") != "text/css; charset=utf-8" {
			t.Fatalf("its style is %d %v", w.Code, w.Header())
		}
		try := func(shown string, more ...func(*http.Request)) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/login", strings.NewReader(url.Values{"token": {shown}}.Encode()))
			r.Host = "localhost"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for _, m := range more {
				m(r)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w
		}
		if w = try("wrong"); w.Code != 401 || w.Header()["Set-Cookie"] != nil || !strings.Contains(w.Body.String(), "That is not the token.") ||
			!refusedOnly(s, admit.WrongToken) {
			t.Fatalf("a wrong token gets %d %v %s", w.Code, w.Header(), w.Body)
		}
		if w = try(strings.Repeat("x", maxForm)); w.Code != 401 {
			t.Fatalf("a long token gets %d", w.Code)
		}
		for range 8 {
			try("wrong")
		}
		if w = try(token); w.Code != 429 || w.Header().Get("Retry-After") != "60" || w.Header()["Set-Cookie"] != nil || s.config.Admit.Counts()[admit.TooManyLogins.String()] != 1 {
			t.Fatalf("too many tries get %d %v", w.Code, w.Header())
		}
		time.Sleep(time.Minute)
		if w = try(token, header("X-Forwarded-Proto", "https")); !w.Result().Cookies()[0].Secure {
			t.Errorf("behind TLS, the cookie is %v", w.Header()["Set-Cookie"])
		}
		w = try(" " + token + "\n")
		if w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Fatalf("the token gets %d %v", w.Code, w.Header())
		}
		c := w.Result().Cookies()[0]
		if c.Name != "herd" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.MaxAge != 12*3600 || c.Secure ||
			c.Domain != "" || strings.Contains(c.Value, token) {
			t.Errorf("the cookie is %v", c)
		}
		with := func(value string) func(*http.Request) {
			return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "herd", Value: value}) }
		}
		in := func(s *Server, value string) bool { return answer(s, "GET", "/api/", with(value)).Code == 404 }
		end, proof, _ := strings.Cut(c.Value, ".")
		for what, value := range map[string]string{"a later end": end + "0." + proof, "no proof": end, "no end": "." + proof, "nothing": "", "no base64": end + ".!"} {
			if in(s, value) {
				t.Errorf("in with %s", what)
			}
		}
		other := New(Config{Source: source, Node: "Goloman", Herd: "campus", Token: token + "2"})
		if !in(s, c.Value) || in(other, c.Value) {
			t.Error("a session does not hold where the token does")
		}
		if w = answer(s, "GET", "/login", with(c.Value)); w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Errorf("who is in gets the form: %d", w.Code)
		}
		if w = answer(s, "POST", "/logout", with(c.Value)); w.Code != 303 || w.Result().Cookies()[0].MaxAge != -1 {
			t.Errorf("logging out says %d %v", w.Code, w.Header())
		}
		if w = answer(s, "POST", "/logout"); w.Code != 303 || w.Header().Get("Location") != "/login" {
			t.Errorf("logging out after the session's end says %d %s", w.Code, w.Body)
		}
		time.Sleep(sessionTime - time.Since(time.Now().Truncate(time.Second)) - time.Second)
		if !in(s, c.Value) {
			t.Error("out too early")
		}
		time.Sleep(time.Second)
		if in(s, c.Value) {
			t.Error("in for longer than 12 hours")
		}
	})
}
