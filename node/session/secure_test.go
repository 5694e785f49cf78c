package session

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/node/line"
	"herd/node/session/sessiontest"
)

// A client that sends many lines and says that they were all still gets all replies, and then the end, in TLS as well.
func TestHalfCloseOverTLS(t *testing.T) {
	ca := sessiontest.NewCA(t, "CA", nil)
	server := serverTLS(t, ca, nil)
	const lines = 10_000
	var sent, want strings.Builder
	for i := range lines {
		fmt.Fprintf(&sent, "junk %d\n", i)
		fmt.Fprintf(&want, "? junk %d\n", i)
	}
	sent.WriteString("last")
	want.WriteString("? last\n")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		n := startTCP(t, func(c *config) { c.TLS = server })
		config := ca.Trust()
		config.MaxVersion = version
		below := &wireConn{Conn: sessiontest.Dial(t, n.address).Conn.(*net.TCPConn), limit: func() time.Duration { return 0 }}
		conn := tls.Client(below, config)
		sending := make(chan error, 1)
		go func() {
			_, err := io.WriteString(conn, sent.String())
			if err == nil {
				err = conn.CloseWrite()
			}
			sending <- err
		}()
		got, err := io.ReadAll(conn)
		if sendErr := <-sending; err != nil || sendErr != nil || string(got) != want.String() {
			t.Errorf("%s: %d bytes of replies, want %d; %v, %v", tls.VersionName(version), len(got), want.Len(), err, sendErr)
		}
		if below.cut {
			t.Errorf("%s: the end is not announced", tls.VersionName(version))
		}
		if got := n.state(); len(got.Refused) != 1 || got.Sessions != 0 {
			t.Errorf("counted %v, %d sessions", got.Refused, got.Sessions)
		}
	}
}

// Somebody on the way can end a TCP connection within a line, but not have its beginning taken for the whole.
func TestTornLine(t *testing.T) {
	ca := sessiontest.NewCA(t, "CA", nil)
	n := startTCP(t, func(c *config) { c.TLS = serverTLS(t, ca, nil) })
	n.trust = ca.Trust()
	c := n.dial(t)
	c.Send("IAMAT kiwi " + place + " 1\nIAMAT kiwi " + place + " 15")
	if err := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c.In)
	if reply := string(got); err != nil || strings.Count(reply, "\n") != 2 || !strings.HasSuffix(reply, " kiwi "+place+" 1\n\n") {
		t.Errorf("replies %q, %v", got, err)
	}
	if r, _ := n.Registry().Get("kiwi"); r.Time() != "1" || n.state().Refused["TLS cut off within a line"] != 1 {
		t.Errorf("took %q, counted %v", r, n.state().Refused)
	}
}

// A client that sends on when the node ends the connection still gets its replies, and the end, not a reset.
func TestLastRepliesArriveOverTLS(t *testing.T) {
	ca := sessiontest.NewCA(t, "CA", nil)
	n := startTCP(t, func(c *config) { c.TLS, c.Limits.Rate = serverTLS(t, ca, nil), 10 })
	n.trust = ca.Trust()
	c := n.dial(t)
	c.Send(strings.Repeat("junk\n", 50_000))
	if got := c.Rest(); got != strings.Repeat("? junk\n", 10) {
		t.Errorf("got %q", got)
	}
}

// A client that does not take its replies is cut off when its time is up, without a farewell that it would not take either.
func TestDeafClientOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := sessiontest.NewCA(t, "CA", nil)
		n := startServer(t, newBlockingFinder(), func(c *config) { c.TLS = serverTLS(t, ca, ca) })
		deaf := n.listener.DialTLS(t, ca.Trust(ca.Issue(t, nil)))
		deaf.Send("junk\n")
		<-time.After(30 * time.Second)
		synctest.Wait()
		if got := n.state(); got.Refused["replies not taken in time"] != 1 || got.Sessions != 0 {
			t.Errorf("counted %v, %d sessions", got.Refused, got.Sessions)
		}
		if got := n.about("disconnected"); len(got) != 1 {
			t.Error("the connection is still there")
		}
	})
}

// A handshake may take as long as a line, or 10 s if that has no limit. Others are served meanwhile.
func TestSlowHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := sessiontest.NewCA(t, "CA", nil)
		for limit, want := range map[time.Duration]time.Duration{30 * time.Second: 30 * time.Second, 0: 10 * time.Second} {
			n := startServer(t, newBlockingFinder(), func(c *config) { c.TLS, c.Limits.Line, c.Limits.Connections = serverTLS(t, ca, nil), limit, 2 })
			slow := n.listener.Dial(t)
			given := make(chan struct{})
			go func() {
				defer close(given)
				hello := append([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), bytes.Repeat([]byte("x"), 1000)...)
				for i := range hello {
					if _, err := slow.Write(hello[i : i+1]); err != nil {
						return
					}
					<-time.After(time.Second)
				}
			}()
			other := n.listener.DialTLS(t, ca.Trust())
			go other.Send("junk\n")
			if got := other.Line(); got != "? junk\n" || n.state().Sessions != 2 {
				t.Errorf("another client gets %q, %d sessions", got, n.state().Sessions)
			}
			if third := n.listener.Dial(t); third.AwaitEnd() != 0 || n.state().Refused["too many connections"] != 1 {
				t.Errorf("a handshake does not count as a connection: %v", n.state().Refused)
			}
			if got := slow.AwaitEnd(); got != want {
				t.Errorf("with limit %s, ended after %s, want %s", limit, got, want)
			}
			<-given
			synctest.Wait()
			refused := "refused | pipe | TLS handshake failed | not completed in " + want.String()
			if got := n.about("refused"); !slices.Contains(got, refused) || n.state().Sessions != 1 {
				t.Errorf("logged %q, want %q; %d sessions", got, refused, n.state().Sessions)
			}
		}
	})
}

// A node that ends does not wait for handshakes.
func TestStopDuringHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := sessiontest.NewCA(t, "CA", nil)
		n := startServer(t, newBlockingFinder(), func(c *config) { c.TLS = serverTLS(t, ca, nil) })
		c := n.listener.Dial(t)
		c.Send("\x16\x03")
		synctest.Wait()
		began := time.Now()
		n.stop()
		if took := time.Since(began); took != 0 || c.AwaitEnd() != 0 || len(n.state().Refused) > 0 {
			t.Errorf("it took %s to stop, counted %v", took, n.state().Refused)
		}
	})
}

// With certificates, a client reports only for the IDs in its certificate, queries any, and introduces no other.
func TestOnlyOwnIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := sessiontest.NewCA(t, "CA", nil)
		n := startServer(t, newBlockingFinder(), func(c *config) { c.TLS, c.Limits.NewClients = serverTLS(t, ca, ca), 2 })
		other := "Hands +0.000000000 emu " + place + " 5"
		r, err := line.ParseReport(other)
		if err != nil {
			t.Fatal(err)
		}
		n.Registry().Merge(r)
		c := n.listener.DialTLS(t, ca.Trust(ca.Issue(t, []string{"kiwi", "*", "*.herd"}, func(c *x509.Certificate) { c.Subject.CommonName = "emu" })))
		for _, test := range []struct{ line, want string }{
			{"IAMAT kiwi " + place + " 1", "AT Goloman +946684799.000000000 kiwi " + place + " 1\n\n"},
			{"IAMAT Kiwi " + place + " 1", ""},
			{"IAMAT kiwi. " + place + " 1", ""},
			{"IAMAT emu " + place + " 9", ""},
			{"IAMAT * " + place + " 1", ""},
			{"IAMAT *.herd " + place + " 1", ""},
			{"IAMAT a.herd  " + place + " 1 ", ""},
			{"WHATSAT emu 0 0", "AT " + other + "\n{\n  \"html_attributions\": [],\n  \"results\": [],\n  \"status\": \"ZERO_RESULTS\"\n}\n\n"},
			{"IAMAT kiwi " + place + " 2", "AT Goloman +946684798.000000000 kiwi " + place + " 2\n\n"},
		} {
			if test.want == "" {
				test.want = "? " + test.line + "\n"
			}
			go c.Send(test.line + "\n")
			got := make([]byte, len(test.want))
			if _, err := io.ReadFull(c.In, got); err != nil || string(got) != test.want {
				t.Errorf("%s: %q, %v, want %q", test.line, got, err, test.want)
			}
		}
		if got, want := n.state(), map[string]uint64{"client ID not in certificate": 6}; !maps.Equal(got.Refused, want) || got.Clients != 2 {
			t.Errorf("counted %v, want %v; %d clients", got.Refused, want, got.Clients)
		}
		want := []string{"refused | pipe | client ID not in certificate | IAMAT Kiwi " + place + " 1"}
		if got := n.about("refused"); !slices.Equal(got, want) {
			t.Errorf("logged %q, want %q", got, want)
		}
		if got := n.about("secured"); !slices.Equal(got, []string{"secured | pipe | TLS 1.3 | CN=emu"}) {
			t.Errorf("logged %q", got)
		}
	})
}

// A connection ends with the certificate of its client, or that of the CA in between. What was read by then is answered.
func TestCertificateExpires(t *testing.T) {
	lasting := func(d time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
	}
	for _, test := range []struct {
		root, between, leaf, want time.Duration
	}{
		{100 * time.Hour, 10 * time.Hour, 5 * time.Minute, 5 * time.Minute},
		{100 * time.Hour, 5 * time.Minute, 10 * time.Hour, 5 * time.Minute},
		{5 * time.Minute, 10 * time.Hour, 100 * time.Hour, 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			root := sessiontest.NewCA(t, "root", nil, lasting(test.root))
			between := sessiontest.NewCA(t, "between", root, lasting(test.between))
			o := newBlockingFinder()
			n := startServer(t, o, func(c *config) {
				c.TLS, c.Limits.Places = serverTLS(t, sessiontest.NewCA(t, "server", nil), root), time.Hour
			})
			config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{between.Issue(t, []string{"k"}, lasting(test.leaf))}}
			began := time.Now()
			c := n.listener.DialTLS(t, config)
			idle := n.listener.DialTLS(t, config)
			<-time.After(test.want - time.Nanosecond)
			c.Send("IAMAT k " + place + " 1\nWHATSAT k 10 5\njunk\nhalf a li")
			c.Line()
			c.Line()
			<-o.queries
			if got := idle.AwaitEnd(); got != time.Nanosecond {
				t.Fatalf("an idle connection ends %s after that", got)
			}
			o.answer <- struct{}{}
			rest, err := io.ReadAll(c.In)
			if err != nil || !strings.HasSuffix(string(rest), "}\n\n? junk\n") || time.Since(began) != test.want {
				t.Errorf("after %s: %q, %v", time.Since(began), rest, err)
			}
			synctest.Wait()
			if got, want := n.state(), map[string]uint64{"certificate expired": 2, "invalid line": 1}; !maps.Equal(got.Refused, want) || got.Sessions != 0 {
				t.Errorf("counted %v, %d sessions, want %v", got.Refused, got.Sessions, want)
			}
			<-time.After(time.Second) // for a certificate counts to its last second
			late := tls.Client(n.listener.Dial(t).Conn, config)
			_, err = late.Read(make([]byte, 1))
			if err == nil || err.Error() != "remote error: tls: expired certificate" && test.leaf == test.want {
				t.Errorf("later: %v", err)
			}
		})
	}
}

// Of two ways to a CA that is trusted, the one that lasts longer counts.
func TestValidUntil(t *testing.T) {
	at := func(hours ...int) (chain []*x509.Certificate) {
		for _, h := range hours {
			chain = append(chain, &x509.Certificate{NotAfter: time.Unix(0, 0).Add(time.Duration(h) * time.Hour)})
		}
		return chain
	}
	got := validUntil([][]*x509.Certificate{at(9, 2, 7), at(9, 5, 8), at(9, 4)})
	if want := time.Unix(0, 0).Add(5 * time.Hour); !got.Equal(want) {
		t.Errorf("valid until %s, want %s", got, want)
	}
}

// writeRecorder is a connection that records how long each write may take.
type writeRecorder struct {
	net.Conn
	until  time.Time
	writes []time.Duration // from now; 0: for ever
}

func (w *writeRecorder) SetWriteDeadline(t time.Time) error {
	w.until = t
	return nil
}

func (w *writeRecorder) Write(b []byte) (int, error) {
	left := time.Duration(0)
	if !w.until.IsZero() {
		left = time.Until(w.until)
	}
	w.writes = append(w.writes, left)
	return len(b), nil
}

// What TLS itself writes, long after the last reply, has its own time: a client that changes its keys then stays connected, and one
// that takes no answer does not keep the node waiting for ever.
func TestWireLimitsWhatTLSWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(writeRecorder)
		w := &wireConn{Conn: p, limit: func() time.Duration { return 30 * time.Second }}
		r := newReplies(w, w.limit, nil)
		if err := r.add([]byte("reply\n")); err != nil {
			t.Fatal(err)
		}
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		for range 2 {
			if _, err := w.Write([]byte("key update")); err != nil {
				t.Fatal(err)
			}
		}
		w.limit = func() time.Duration { return 0 }
		if _, err := w.Write([]byte("key update")); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second, 0}; !slices.Equal(p.writes, want) {
			t.Errorf("writes could take %v, want %v", p.writes, want)
		}
	})
}
