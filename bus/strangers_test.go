package bus

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herd/bus/subject"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Whom the servers turn away.
func TestStrangersTurnedAway(t *testing.T) {
	load := func(t *testing.T, read func() (*Credentials, error)) *Credentials {
		t.Helper()
		c, err := read()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	node := func(t *testing.T, k Keyring, name string) *Credentials {
		return load(t, func() (*Credentials, error) { return k.Node(name) })
	}
	// more makes keys for others, in the same directory, after the server has read its configuration.
	more := func(t *testing.T, k Keyring, adjust ...func(*Plan)) {
		if _, err := k.Make(plan(adjust...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		adjust []func(*Plan)
		keys   func(t *testing.T, k Keyring) *Credentials
		want   string
	}{
		{"nkeys: nobody", []func(*Plan){private}, func(*testing.T, Keyring) *Credentials { return nil }, "Authorization Violation"},
		{"nkeys: another herd's key", nil, func(t *testing.T, _ Keyring) *Credentials {
			return node(t, makeKeys(t, plan()), "Goloman")
		}, "Authorization Violation"},
		{"TLS: whoever trusts no authority", []func(*Plan){encrypted}, func(*testing.T, Keyring) *Credentials {
			return nil
		}, "x509: certificate signed by unknown authority"},
		{"TLS: whoever trusts another authority", []func(*Plan){encrypted}, func(t *testing.T, _ Keyring) *Credentials {
			return node(t, makeKeys(t, plan(encrypted)), "Goloman")
		}, "x509: certificate signed by unknown authority"},
		{"plain: whoever wants TLS", nil, func(t *testing.T, _ Keyring) *Credentials {
			return node(t, makeKeys(t, plan(encrypted)), "Goloman")
		}, "secure connection not available"},
		{"mtls: without a certificate", []func(*Plan){mutual}, func(t *testing.T, k Keyring) *Credentials {
			c := node(t, k, "Goloman")
			c.tls.Certificates = nil
			return c
		}, "tls"},
		{"mtls: another authority's", []func(*Plan){mutual}, func(t *testing.T, k Keyring) *Credentials {
			c := node(t, k, "Goloman")
			c.tls.Certificates = node(t, makeKeys(t, plan(mutual)), "Goloman").tls.Certificates
			return c
		}, "tls"},
		{"mtls: a name that is no node's", []func(*Plan){mutual}, func(t *testing.T, k Keyring) *Credentials {
			more(t, k, mutual, func(p *Plan) { p.Neighbours = map[string][]string{"Stranger": nil} })
			return node(t, k, "Stranger")
		}, "Authorization Violation"},
		{"mtls: an observer, where none is let in", []func(*Plan){mutual, private}, func(t *testing.T, k Keyring) *Credentials {
			more(t, k, mutual)
			return load(t, k.Observer)
		}, "Authorization Violation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := makeKeys(t, plan(test.adjust...))
			s := startFrom(t, filepath.Join(k.server("nats"), serverConfig))
			d := &NATS{URL: s.ClientURL(), Herd: "herd", Node: "Goloman"}
			d.Identify(test.keys(t, k))
			c, err := d.Dial(t.Context(), newInbox())
			if err == nil {
				err = c.Subscribe(deadline(t), campus["Goloman"]) // with TLS 1.3 a server refuses after the handshake
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if test.want == "Authorization Violation" && !errors.Is(err, ErrRefused) {
				t.Errorf("error %v is not ErrRefused", err)
			}
		})
	}
}

// An embedded server that other machines can reach takes nobody without a key.
func TestNoObserversFromElsewhere(t *testing.T) {
	s := startServer(t, "0.0.0.0:0")
	_, err := (&NATS{URL: s.URL(), Herd: "herd", Node: "Welsh"}).Dial(t.Context(), newInbox())
	if !errors.Is(err, ErrRefused) {
		t.Errorf("without a key: %v", err)
	}
	dial(t, hearing{s.tcp("Welsh"), campus["Welsh"]}, newInbox())
}

// A link that is added or removed is permitted or not without anybody losing its connection.
func TestPermit(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	hands, holiday := newInbox(), newInbox()
	c := dial(t, hearing{s.Dialer("Hands"), campus["Hands"]}, hands)
	d := dial(t, hearing{s.tcp("Holiday"), campus["Holiday"]}, holiday)
	publish(t, d, subject.Propagate, "Hands", "not yet")
	if err := <-holiday.troubles; !errors.Is(err, ErrRefused) {
		t.Errorf("trouble %v", err)
	}
	if err := c.Subscribe(deadline(t), []string{"Holiday"}); !errors.Is(err, ErrRefused) {
		t.Errorf("hears whom it may not: %v", err)
	}
	// One that is not permitted leaves the others.
	if err := c.Subscribe(deadline(t), []string{"Holiday", "Wilkes"}); err != nil {
		t.Errorf("hears nobody for the sake of one: %v", err)
	}
	if err := <-hands.troubles; !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "herd.*.Holiday.Hands") {
		t.Errorf("trouble %v", err)
	}
	publish(t, dial(t, hearing{s.Dialer("Wilkes"), nil}, newInbox()), subject.Propagate, "Hands", "still")
	if got := (<-hands.messages).String(); got != "propagate from Wilkes: still" {
		t.Errorf("heard %q", got)
	}
	links := maps.Clone(campus)
	links["Hands"], links["Holiday"] = []string{"Holiday", "Wilkes"}, []string{"Hands", "Welsh", "Wilkes"}
	links["Goloman"] = []string{"Wilkes"}
	if err := s.Permit(links); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(deadline(t), links["Hands"]); err != nil {
		t.Fatal(err)
	}
	if err := d.Subscribe(deadline(t), links["Holiday"]); err != nil {
		t.Fatal(err)
	}
	publish(t, d, subject.Propagate, "Hands", "now")
	if got := (<-hands.messages).String(); got != "propagate from Holiday: now" {
		t.Errorf("heard %q", got)
	}
	publish(t, d, subject.Propagate, "Goloman", "no more")
	if err := <-holiday.troubles; !errors.Is(err, ErrRefused) {
		t.Errorf("trouble %v", err)
	}
	if err := errors.Join(c.Err(), d.Err()); err != nil {
		t.Errorf("a connection was lost: %v", err)
	}
}

// On a bus that permits everything, a node hears its neighbours in its own herd and nobody else.
func TestForeignSubjects(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(startTime) {
		t.Fatal("the server is not ready")
	}
	h := newInbox()
	dial(t, hearing{&NATS{URL: s.ClientURL(), Herd: "herd", Node: "Goloman"}, []string{"Hands"}}, h)
	nc, err := nats.Connect(s.ClientURL(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, s := range []string{
		"other.propagate.Hands.Goloman", "Herd.propagate.Hands.Goloman", "herd.propagate.Welsh.Goloman", "herd.propagate.Goloman.Hands",
		"herd.propagate.Goloman.Goloman", "herd.propagate.Hands", "herd.propagate.Hands.Goloman.x", "herd.Hands.Goloman", "Hands.Goloman",
		"herd.propagate.Hands.Goloman",
	} {
		if err := nc.Publish(s, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got := (<-h.messages).String(); got != "propagate from Hands: herd.propagate.Hands.Goloman" {
		t.Errorf("heard %q", got)
	}
}

// A key that is made anew lets the node in once the server and the node have read it, and the old one no more.
func TestRotateKey(t *testing.T) {
	k := makeKeys(t, plan())
	s := startFrom(t, filepath.Join(k.server("nats"), serverConfig))
	d := &NATS{URL: s.ClientURL(), Herd: "herd", Node: "Welsh"}
	identify := func() {
		t.Helper()
		c, err := k.Node("Welsh")
		if err != nil {
			t.Fatal(err)
		}
		d.Identify(c)
	}
	identify()
	c := dial(t, hearing{d, campus["Welsh"]}, newInbox())
	if err := os.Remove(filepath.Join(k.node("Welsh"), seedFile)); err != nil {
		t.Fatal(err)
	}
	if made, err := k.Make(plan()); err != nil || !slices.Equal(made.New, []string{"Welsh"}) {
		t.Fatalf("made %v: %v", made, err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	<-c.Done() // the server ends who has no user any more
	if _, err := d.Dial(t.Context(), newInbox()); !errors.Is(err, ErrRefused) {
		t.Errorf("with the old key: %v", err)
	}
	identify()
	dial(t, hearing{d, campus["Welsh"]}, newInbox())
}

// So it is with the embedded server, once it has been told to permit.
func TestRotateKeyOfEmbedded(t *testing.T) {
	k := makeKeys(t, plan())
	s, err := StartServer(ServerConfig{Herd: "herd", Neighbours: campus, Keys: k, Listen: "127.0.0.1:0", Log: silentLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	d, stays := s.tcp("Welsh"), dial(t, hearing{s.Dialer("Holiday"), campus["Holiday"]}, newInbox())
	c := dial(t, hearing{d, campus["Welsh"]}, newInbox())
	if err := os.Remove(filepath.Join(k.node("Welsh"), seedFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Make(plan()); err != nil {
		t.Fatal(err)
	}
	if err := s.Permit(campus); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if _, err := d.Dial(t.Context(), newInbox()); !errors.Is(err, ErrRefused) {
		t.Errorf("with the old key: %v", err)
	}
	fresh, err := k.Node("Welsh")
	if err != nil {
		t.Fatal(err)
	}
	d.Identify(fresh)
	dial(t, hearing{d, campus["Welsh"]}, newInbox())
	if err := stays.Err(); err != nil {
		t.Errorf("a node whose key stayed lost its connection: %v", err)
	}
}
