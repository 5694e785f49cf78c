package status

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Refusal is why somebody is not answered.
type Refusal int

// Reasons of a Refusal.
const (
	WrongToken   Refusal = iota // a token, but not the one
	ForeignHost                 // the server was asked for by a name that is not its own
	CrossSite                   // a page of another site asks
	TooManyTries                // to log in
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

// admit reports whether a request is to be answered, or refuses it.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case !s.ours(r):
		s.Source.Refuse(ForeignHost, r.RemoteAddr)
		fail(w, http.StatusMisdirectedRequest, "this server is not %.80q; name it by its address, or list the name in http.hosts", r.Host)
	case s.cross.Check(r) != nil || embedded(r):
		s.Source.Refuse(CrossSite, r.RemoteAddr)
		fail(w, http.StatusForbidden, "pages of other sites may not ask")
	case public(r.URL.Path) || s.mayLook(r):
		return true
	case s.Token == "":
		fail(w, http.StatusForbidden, "only this machine may look, for the server has no token and http.open is not set")
	case wantsPage(r):
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	default:
		if _, shown := bearer(r); shown {
			s.Source.Refuse(WrongToken, r.RemoteAddr)
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="herd"`)
		fail(w, http.StatusUnauthorized, "a token is needed; send the header Authorization: Bearer TOKEN")
	}
	return false
}

// public reports whether a path is for those as well who may not look: whether the node is well, the way in and out, and what the program's own
// pages are made of.
func public(path string) bool {
	return slices.Contains([]string{"/healthz", "/readyz", "/login", "/logout"}, path) || strings.HasPrefix(path, "/assets/")
}

// embedded reports whether a page of another site asks in passing, for a picture or a stream. What it got would be kept from it; but its
// visitors would be made to ask, from where they may. To follow a link is another thing.
func embedded(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// wantsPage reports whether somebody looks with a browser.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !strings.HasPrefix(r.URL.Path, "/api/") &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// ours reports whether the server was asked for by a name of its own. A page whose name its owner lets point to this address (DNS
// rebinding) would else be of the same origin, and see everything. Browsers send no request without a host.
func (s *Server) ours(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || host == "localhost" || slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
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

// mayLook reports whether who asks may see what the node knows. Without a token that is everybody on this machine.
func (s *Server) mayLook(r *http.Request) bool {
	if s.Token == "" {
		return s.Open || local(r).IsLoopback()
	}
	shown, _ := bearer(r)
	return s.isToken(shown) || s.loggedIn(r)
}

// bearer returns the token that a request shows (RFC 6750), and whether it shows any.
func bearer(r *http.Request) (token string, shown bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// isToken compares in a time that tells nothing of the token, its length included.
func (s *Server) isToken(shown string) bool {
	a, b := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(s.Token))
	return s.Token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
