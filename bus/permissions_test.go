package bus_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/keys"
	"herd/bus/subject"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func accounted(p *keys.Plan) { p.Account = "HERD" }
func open(p *keys.Plan)      { p.Observer = subject.ScopeAll }
func queried(p *keys.Plan)   { p.Micro = true }

// startServer starts an embedded server for the campus.
func startServer(t testing.TB, listen string) *bus.Server {
	t.Helper()
	s, err := bus.StartServer(bus.ServerConfig{Herd: "herd", Neighbours: bustest.Campus, Listen: listen, Log: bustest.SilentLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// startFrom starts the real server from a configuration file.
func startFrom(t testing.TB, path string, adjust ...func(*server.Options)) *server.Server {
	t.Helper()
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs = true
	for _, a := range adjust {
		a(options)
	}
	return start(t, options)
}

// start starts a NATS server, which ends with the test.
func start(t testing.TB, options *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	return s
}

// kinds are all kinds of messages.
var kinds = []subject.Kind{subject.Propagate, subject.Heartbeat, subject.Sync}

// user is one of those who try all subjects.
type user struct {
	who      string
	nc       *nats.Conn
	mu       sync.Mutex
	refused  []string // "publish SUBJECT" or "subscribe SUBJECT"
	received []string // "SUBJECT WHO STAMP"
}

func join(t *testing.T, who, url string, options []nats.Option) *user {
	t.Helper()
	m := &user{who: who}
	options = append(options, nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		_, what, _ := strings.Cut(err.Error(), "permissions violation: Permissions Violation for ")
		verb, rest, _ := strings.Cut(what, " to ")
		verb = map[string]string{"Publish": "publish", "Subscription": "subscribe"}[verb]
		m.mu.Lock()
		defer m.mu.Unlock()
		m.refused = append(m.refused, verb+" "+strings.Trim(rest, `"`))
	}))
	var err error
	if m.nc, err = nats.Connect(url, options...); err != nil {
		t.Fatalf("connect as %s: %v", who, err)
	}
	t.Cleanup(m.nc.Close)
	return m
}

func (m *user) flush(t *testing.T) {
	t.Helper()
	if err := m.nc.FlushWithContext(bustest.Deadline(t)); err != nil {
		t.Fatal(err)
	}
}

// leave returns what was refused and received, in order, once everything has been delivered.
func (m *user) leave(t *testing.T) (refused, received []string) {
	t.Helper()
	closed := make(chan struct{})
	m.nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if err := m.nc.Drain(); err != nil {
		t.Fatal(err)
	}
	<-closed // after all messages and errors
	slices.Sort(m.refused)
	slices.Sort(m.received)
	return m.refused, m.received
}

// matrix has everybody try to subscribe and to publish on every subject at the same time, with a stamp, and compares what is refused and
// what arrives with what the topology says.
func matrix(t *testing.T, url string, scope subject.Scope, options func(who string) []nats.Option) {
	var subjects []string
	for _, kind := range kinds {
		for from := range bustest.Campus {
			for to := range bustest.Campus {
				subjects = append(subjects, subject.Of("herd", kind, from, to))
			}
		}
	}
	mayPublish := func(who, s string) bool {
		_, _, from, to, _ := subject.Parse(s)
		return from == who && slices.Contains(bustest.Campus[from], to)
	}
	maySubscribe := func(who, s string) bool {
		_, kind, from, to, _ := subject.Parse(s)
		if who == "observer" {
			return kind != subject.Sync || scope == subject.ScopeAll
		}
		return to == who && slices.Contains(bustest.Campus[from], to)
	}
	everybody := slices.Collect(maps.Keys(bustest.Campus))
	if scope != "" {
		everybody = append(everybody, "observer")
	}
	var users []*user
	for _, who := range everybody {
		m := join(t, who, url, options(who))
		for _, s := range subjects {
			if _, err := m.nc.Subscribe(s, func(msg *nats.Msg) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.received = append(m.received, msg.Subject+" "+string(msg.Data)+" "+msg.Reply)
			}); err != nil {
				t.Fatal(err)
			}
		}
		m.flush(t)
		users = append(users, m)
	}
	for _, m := range users {
		for _, s := range subjects {
			if err := m.nc.PublishRequest(s, bustest.SampleText, []byte(m.who)); err != nil {
				t.Fatal(err)
			}
		}
		m.flush(t)
	}
	allowed := 0
	for _, m := range users {
		var refused, received []string
		for _, s := range subjects {
			if !mayPublish(m.who, s) {
				refused = append(refused, "publish "+s)
			} else {
				allowed++
			}
			if !maySubscribe(m.who, s) {
				refused = append(refused, "subscribe "+s)
				continue
			}
			for _, who := range everybody {
				if mayPublish(who, s) {
					received = append(received, s+" "+who+" "+bustest.SampleText)
				}
			}
		}
		slices.Sort(refused)
		slices.Sort(received)
		gotRefused, gotReceived := m.leave(t)
		if !slices.Equal(gotRefused, refused) {
			t.Errorf("%s was refused %d times, want %d:\n%q\nwant\n%q", m.who, len(gotRefused), len(refused), gotRefused, refused)
		}
		if !slices.Equal(gotReceived, received) {
			t.Errorf("%s received %q, want %q", m.who, gotReceived, received)
		}
	}
	if allowed != 12*3 || len(subjects) != 36*3 {
		t.Errorf("%d of %d subjects could be published on: not all was tried", allowed, len(subjects))
	}
}

// The permissions of the embedded server.
func TestPermissions(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	matrix(t, s.URL(), subject.ScopeFlood, func(who string) []nats.Option {
		if who == "observer" {
			return nil
		}
		return s.Dialer(who).Options()
	})
}

// Those of a real server with the configuration that was made for it, in each mode.
func TestPermissionsOfConfig(t *testing.T) {
	for name, adjust := range map[string][]func(*keys.Plan){
		"nkeys":                {},
		"nkeys, TLS":           {bustest.Encrypted},
		"nkeys, account":       {accounted},
		"nkeys, no observers":  {bustest.Private},
		"nkeys, open":          {open},
		"mtls":                 {bustest.Mutual},
		"mtls, account":        {bustest.Mutual, accounted},
		"mtls, no observers":   {bustest.Mutual, bustest.Private},
		"mtls, open, accounts": {bustest.Mutual, open, accounted},
		"nkeys, micro":         {queried},
		"mtls, micro":          {bustest.Mutual, queried},
	} {
		t.Run(name, func(t *testing.T) {
			p := bustest.Plan(adjust...)
			k := bustest.MakeKeys(t, p)
			s := startFrom(t, filepath.Join(string(k), "servers", "nats", "nats-server.conf"))
			matrix(t, s.ClientURL(), p.Observer, func(who string) []nats.Option { return options(t, k, who) })
		})
	}
}

// options are those of the credentials of a node, or of observers.
func options(t testing.TB, k keys.Keyring, who string) []nats.Option {
	t.Helper()
	read := func() (*keys.Credentials, error) { return k.Node(who) }
	if who == "observer" {
		read = k.Observer
	}
	c, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return bus.Options(c)
}

// The account to include does the same on a server that serves others too, and keeps them apart.
func TestPermissionsOfInclude(t *testing.T) {
	p := bustest.Plan(accounted)
	k := bustest.MakeKeys(t, p)
	text, err := k.Include(p)
	if err != nil {
		t.Fatal(err)
	}
	observer := p.ObserverName()
	dir := t.TempDir()
	own := filepath.Join(dir, "own.conf")
	err = errors.Join(os.WriteFile(filepath.Join(dir, "herd.conf"), text, 0o600), os.WriteFile(own, fmt.Appendf(nil, `
		listen: "127.0.0.1:-1"
		no_auth_user: %s
		accounts: {
			OTHERS: { users: [{user: other, password: secret}] }
			include "herd.conf"
		}`, observer), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	s := startFrom(t, own)
	other, err := nats.Connect(s.ClientURL(), nats.UserInfo("other", "secret"), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	leaked, err := other.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	matrix(t, s.ClientURL(), p.Observer, func(who string) []nats.Option { return options(t, k, who) })
	if err := other.FlushWithContext(bustest.Deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := leaked.Pending(); err != nil || n != 0 {
		t.Errorf("another account received %d messages: %v", n, err)
	}
}
