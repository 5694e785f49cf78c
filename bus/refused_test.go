package bus_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/keys"
	"herd/bus/subject"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Connections that the servers refuse.
func TestConnectionsRefused(t *testing.T) {
	load := func(t *testing.T, read func() (*keys.Credentials, error)) *keys.Credentials {
		t.Helper()
		c, err := read()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	node := func(t *testing.T, k keys.Keyring, name string) *keys.Credentials {
		return load(t, func() (*keys.Credentials, error) { return k.Node(name) })
	}
	// more makes keys for others, in the same directory, after the server has read its configuration.
	more := func(t *testing.T, k keys.Keyring, adjust ...func(*keys.Plan)) {
		if _, err := k.Make(bustest.Plan(adjust...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		adjust []func(*keys.Plan)
		keys   func(t *testing.T, k keys.Keyring) *keys.Credentials
		want   string
	}{
		{"nkeys: nobody", []func(*keys.Plan){bustest.Private}, func(*testing.T, keys.Keyring) *keys.Credentials { return nil }, "Authorization Violation"},
		{"nkeys: another herd's key", nil, func(t *testing.T, _ keys.Keyring) *keys.Credentials {
			return node(t, bustest.MakeKeys(t, bustest.Plan()), "Goloman")
		}, "Authorization Violation"},
		{"TLS: whoever trusts no authority", []func(*keys.Plan){bustest.Encrypted}, func(*testing.T, keys.Keyring) *keys.Credentials {
			return nil
		}, "x509: certificate signed by unknown authority"},
		{"TLS: whoever trusts another authority", []func(*keys.Plan){bustest.Encrypted}, func(t *testing.T, _ keys.Keyring) *keys.Credentials {
			return node(t, bustest.MakeKeys(t, bustest.Plan(bustest.Encrypted)), "Goloman")
		}, "x509: certificate signed by unknown authority"},
		{"plain: whoever wants TLS", nil, func(t *testing.T, _ keys.Keyring) *keys.Credentials {
			return node(t, bustest.MakeKeys(t, bustest.Plan(bustest.Encrypted)), "Goloman")
		}, "secure connection not available"},
		{"mtls: without a certificate", []func(*keys.Plan){bustest.Mutual}, func(t *testing.T, k keys.Keyring) *keys.Credentials {
			c := node(t, k, "Goloman")
			c.TLS.Certificates = nil
			return c
		}, "tls"},
		{"mtls: another authority's", []func(*keys.Plan){bustest.Mutual}, func(t *testing.T, k keys.Keyring) *keys.Credentials {
			c := node(t, k, "Goloman")
			c.TLS.Certificates = node(t, bustest.MakeKeys(t, bustest.Plan(bustest.Mutual)), "Goloman").TLS.Certificates
			return c
		}, "tls"},
		{"mtls: a name that is no node's", []func(*keys.Plan){bustest.Mutual}, func(t *testing.T, k keys.Keyring) *keys.Credentials {
			more(t, k, bustest.Mutual, func(p *keys.Plan) { p.Neighbours = map[string][]string{"Other": nil} })
			return node(t, k, "Other")
		}, "Authorization Violation"},
		{"mtls: an observer, where none is let in", []func(*keys.Plan){bustest.Mutual, bustest.Private}, func(t *testing.T, k keys.Keyring) *keys.Credentials {
			more(t, k, bustest.Mutual)
			return load(t, k.Observer)
		}, "Authorization Violation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := bustest.MakeKeys(t, bustest.Plan(test.adjust...))
			s := startFrom(t, filepath.Join(string(k), "servers", "nats", "nats-server.conf"))
			d := &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Goloman"}
			d.Identify(test.keys(t, k))
			c, err := d.Dial(t.Context(), bustest.NewInbox())
			if err == nil {
				err = c.Subscribe(bustest.Deadline(t), bustest.Campus["Goloman"]) // with TLS 1.3 a server refuses after the handshake
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if test.want == "Authorization Violation" && !errors.Is(err, bus.ErrRefused) {
				t.Errorf("error %v is not ErrRefused", err)
			}
		})
	}
}

// An embedded server that other machines can reach refuses connections without a key.
func TestNoObserversFromElsewhere(t *testing.T) {
	s := startServer(t, "0.0.0.0:0")
	_, err := (&bus.NATS{URL: s.URL(), Herd: "herd", Node: "Welsh"}).Dial(t.Context(), bustest.NewInbox())
	if !errors.Is(err, bus.ErrRefused) {
		t.Errorf("without a key: %v", err)
	}
	bustest.Dial(t, bustest.OnCampus(s.TCP("Welsh"), "Welsh"), bustest.NewInbox())
}

// A link that is added or removed is permitted or not without anybody losing its connection.
func TestPermit(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	hands, holiday := bustest.NewInbox(), bustest.NewInbox()
	c := bustest.Dial(t, bustest.OnCampus(s.Dialer("Hands"), "Hands"), hands)
	d := bustest.Dial(t, bustest.OnCampus(s.TCP("Holiday"), "Holiday"), holiday)
	bustest.Publish(t, d, subject.Propagate, "Hands", "not yet")
	if err := <-holiday.Faults; !errors.Is(err, bus.ErrRefused) {
		t.Errorf("fault %v", err)
	}
	if err := c.Subscribe(bustest.Deadline(t), []string{"Holiday"}); !errors.Is(err, bus.ErrRefused) {
		t.Errorf("subscribes to a node that is no neighbour: %v", err)
	}
	// One that is not permitted leaves the others.
	if err := c.Subscribe(bustest.Deadline(t), []string{"Holiday", "Wilkes"}); err != nil {
		t.Errorf("one refusal ends the other subscriptions: %v", err)
	}
	if err := <-hands.Faults; !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), "herd.*.Holiday.Hands") {
		t.Errorf("fault %v", err)
	}
	bustest.Publish(t, bustest.Dial(t, bustest.Subscribed(s.Dialer("Wilkes")), bustest.NewInbox()), subject.Propagate, "Hands", "still")
	if got := hands.Next(); got != "propagate from Wilkes: still" {
		t.Errorf("received %q", got)
	}
	links := maps.Clone(bustest.Campus)
	links["Hands"], links["Holiday"] = []string{"Holiday", "Wilkes"}, []string{"Hands", "Welsh", "Wilkes"}
	links["Goloman"] = []string{"Wilkes"}
	if err := s.Permit(links); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(bustest.Deadline(t), links["Hands"]); err != nil {
		t.Fatal(err)
	}
	if err := d.Subscribe(bustest.Deadline(t), links["Holiday"]); err != nil {
		t.Fatal(err)
	}
	bustest.Publish(t, d, subject.Propagate, "Hands", "now")
	if got := hands.Next(); got != "propagate from Holiday: now" {
		t.Errorf("received %q", got)
	}
	bustest.Publish(t, d, subject.Propagate, "Goloman", "no more")
	if err := <-holiday.Faults; !errors.Is(err, bus.ErrRefused) {
		t.Errorf("fault %v", err)
	}
	if err := errors.Join(c.Err(), d.Err()); err != nil {
		t.Errorf("a connection was lost: %v", err)
	}
}

// On a bus that permits everything, a node receives messages of its neighbours in its own herd and no others.
func TestOtherSubjects(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	h := bustest.NewInbox()
	bustest.Dial(t, bustest.Subscribed(&bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Goloman"}, "Hands"), h)
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
	if got := h.Next(); got != "propagate from Hands: herd.propagate.Hands.Goloman" {
		t.Errorf("received %q", got)
	}
}

// A key that is made anew lets the node in once the server and the node have read it, and the old one no more.
func TestRotateKey(t *testing.T) {
	k := bustest.MakeKeys(t, bustest.Plan())
	s := startFrom(t, filepath.Join(string(k), "servers", "nats", "nats-server.conf"))
	d := &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: "Welsh"}
	identify := func() {
		t.Helper()
		c, err := k.Node("Welsh")
		if err != nil {
			t.Fatal(err)
		}
		d.Identify(c)
	}
	identify()
	c := bustest.Dial(t, bustest.OnCampus(d, "Welsh"), bustest.NewInbox())
	if err := os.Remove(filepath.Join(string(k), "nodes", "Welsh", "seed")); err != nil {
		t.Fatal(err)
	}
	if made, err := k.Make(bustest.Plan()); err != nil || !slices.Equal(made.New, []string{"Welsh"}) {
		t.Fatalf("made %v: %v", made, err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	<-c.Done() // the server ends who has no user any more
	if _, err := d.Dial(t.Context(), bustest.NewInbox()); !errors.Is(err, bus.ErrRefused) {
		t.Errorf("with the old key: %v", err)
	}
	identify()
	bustest.Dial(t, bustest.OnCampus(d, "Welsh"), bustest.NewInbox())
}

// The embedded server does the same after Permit.
func TestRotateKeyOfEmbedded(t *testing.T) {
	k := bustest.MakeKeys(t, bustest.Plan())
	s, err := bus.StartServer(bus.ServerConfig{Herd: "herd", Neighbours: bustest.Campus, Keys: k, Listen: "127.0.0.1:0", Log: bustest.SilentLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	d, stays := s.TCP("Welsh"), bustest.Dial(t, bustest.OnCampus(s.Dialer("Holiday"), "Holiday"), bustest.NewInbox())
	c := bustest.Dial(t, bustest.OnCampus(d, "Welsh"), bustest.NewInbox())
	if err := os.Remove(filepath.Join(string(k), "nodes", "Welsh", "seed")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Make(bustest.Plan()); err != nil {
		t.Fatal(err)
	}
	if err := s.Permit(bustest.Campus); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if _, err := d.Dial(t.Context(), bustest.NewInbox()); !errors.Is(err, bus.ErrRefused) {
		t.Errorf("with the old key: %v", err)
	}
	fresh, err := k.Node("Welsh")
	if err != nil {
		t.Fatal(err)
	}
	d.Identify(fresh)
	bustest.Dial(t, bustest.OnCampus(d, "Welsh"), bustest.NewInbox())
	if err := stays.Err(); err != nil {
		t.Errorf("a node whose key stayed lost its connection: %v", err)
	}
}
