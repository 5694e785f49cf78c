package status

import (
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"herd/node/admit"
)

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
// cookies a browser does not tell apart when they differ by port alone, and outlasts restarts; another token ends it.
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
