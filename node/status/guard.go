package status

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"herd/node/admit"
)

// policy lets a page load what this server serves, and nothing else, and no other page have it in a frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// protect sets the headers that every answer has.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// permit reports whether a request is to be answered, or refuses it.
func (s *Server) permit(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case !s.ownHost(r):
		s.refuse(admit.WrongHost, r)
		fail(w, http.StatusMisdirectedRequest, "this server is not %.80q; name it by its address, or list the name in http.hosts", r.Host)
	case s.cross.Check(r) != nil || embedded(r):
		s.refuse(admit.CrossSite, r)
		fail(w, http.StatusForbidden, "pages of other sites get no answer")
	case public(r.URL.Path) || s.authorized(r):
		return true
	case s.config.Token == "":
		fail(w, http.StatusForbidden, "only this machine gets answers, for the server has no token and http.open is not set")
	case wantsPage(r):
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	default:
		if _, carried := bearer(r); carried {
			s.refuse(admit.WrongToken, r)
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="herd"`)
		fail(w, http.StatusUnauthorized, "a token is needed; send the header Authorization: Bearer TOKEN")
	}
	return false
}

// refuse counts and logs that a request is refused.
func (s *Server) refuse(why admit.Reason, r *http.Request) {
	s.config.Admit.Refuse(why, admit.ParseAddress(r.RemoteAddr))
}

// public reports whether a path needs no authorization: whether the node is ready, login and logout, and the files of the pages.
func public(path string) bool {
	return slices.Contains([]string{"/healthz", "/readyz", "/login", "/logout"}, path) || strings.HasPrefix(path, "/assets/")
}

// embedded reports whether a page of another site loads something as a part of itself, like a picture or a stream. The browser would keep
// the answer from it, but the request would come from where it is authorized. Following a link is permitted.
func embedded(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// wantsPage reports whether a browser opens a page.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !strings.HasPrefix(r.URL.Path, "/api/") &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// ownHost reports whether the Host of a request is a name of this server. A page of a name that points to this address (DNS rebinding)
// would otherwise be of the same origin, and read everything. Browsers send no request without a host.
func (s *Server) ownHost(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || host == "localhost" || slices.ContainsFunc(s.config.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	address, err := netip.ParseAddr(host)
	address = address.Unmap()
	return err == nil && (address.IsLoopback() || address == local(r))
}

// local returns the address that a request came to, without zone.
func local(r *http.Request) netip.Addr {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	to, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return to.Addr().Unmap().WithZone("")
}

// authorized reports whether a request may read what the node holds. Without a token every request of this machine may.
func (s *Server) authorized(r *http.Request) bool {
	if s.config.Token == "" {
		return s.config.Open || local(r).IsLoopback()
	}
	carried, _ := bearer(r)
	return s.isToken(carried) || s.loggedIn(r)
}

// bearer returns the token that a request carries (RFC 6750), and whether it carries any.
func bearer(r *http.Request) (token string, carried bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// isToken compares in a time that reveals nothing of the token, its length included.
func (s *Server) isToken(candidate string) bool {
	a, b := sha256.Sum256([]byte(candidate)), sha256.Sum256([]byte(s.config.Token))
	return s.config.Token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

const (
	cookieName  = "herd"
	sessionTime = 12 * time.Hour // until the next login
	maxForm     = 4 << 10        // bytes
)

//go:embed login/login.html
var loginHTML string

var loginPage = template.Must(template.New("").Parse(loginHTML))

// addLogin adds /login, a form that takes the token and sets a cookie, and /logout.
func (s *Server) addLogin() {
	s.mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		if s.authorized(r) {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		s.form(w, http.StatusOK, "")
	})
	s.mux.HandleFunc("POST /login", s.logIn)
	s.mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, cookie(r, "", -1))
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
}

func (s *Server) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	token := strings.TrimSpace(r.PostFormValue("token")) // "" if the form cannot be read
	switch {
	case !s.config.Admit.MayLogIn(admit.ParseAddress(r.RemoteAddr), time.Now()):
		s.refuse(admit.TooManyLogins, r)
		w.Header().Set("Retry-After", "60")
		s.form(w, http.StatusTooManyRequests, "Too many attempts from your address. Wait a minute.")
	case !s.isToken(token):
		s.refuse(admit.WrongToken, r)
		s.form(w, http.StatusUnauthorized, "That is not the token.")
	default:
		http.SetCookie(w, cookie(r, s.seal(time.Now().Add(sessionTime)), int(sessionTime/time.Second)))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

func (s *Server) form(w http.ResponseWriter, code int, complaint string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_ = loginPage.Execute(w, struct{ Herd, Node, Complaint string }{s.config.Herd, s.config.Node, complaint}) // the client may be gone
}

// cookie returns the cookie of a session. If a proxy speaks TLS with the browser, it is for TLS only.
func cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// seal makes the value of a session: its end, and a MAC of that with the token as key. So a session holds at all nodes with that token, whose
// cookies a browser does not distinguish when they differ by port alone, and outlasts restarts; another token ends it.
func (s *Server) seal(end time.Time) string {
	text := strconv.FormatInt(end.Unix(), 10)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.mac(text))
}

func (s *Server) mac(text string) []byte {
	h := hmac.New(sha256.New, []byte(s.config.Token))
	_, _ = fmt.Fprintf(h, "herd session\n%s\n%s", s.config.Herd, text) // cannot fail
	return h.Sum(nil)
}

// loggedIn reports whether a request comes with a session that has not ended.
func (s *Server) loggedIn(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	text, sealed, _ := strings.Cut(c.Value, ".")
	proof, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || !hmac.Equal(proof, s.mac(text)) {
		return false
	}
	end, err := strconv.ParseInt(text, 10, 64)
	return err == nil && time.Now().Before(time.Unix(end, 0))
}
