package bus

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"herd/bus/subject"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// plan is what the tests make keys for.
func plan(adjust ...func(*Plan)) Plan {
	p := Plan{
		Herd: "herd", Neighbours: campus, Mode: Nkeys, Observer: SeeFlood,
		Servers: []string{"nats"}, Hosts: []string{"127.0.0.1"}, Listen: "127.0.0.1:-1",
	}
	for _, a := range adjust {
		a(&p)
	}
	return p
}

func mutual(p *Plan)    { p.Mode = MTLS }
func encrypted(p *Plan) { p.TLS = true }
func accounted(p *Plan) { p.Account = "HERD" }
func private(p *Plan)   { p.Observer = "" }
func open(p *Plan)      { p.Observer = SeeAll }
func asked(p *Plan)     { p.Micro = true }

func makeKeys(t testing.TB, p Plan) Keyring {
	t.Helper()
	k := Keyring(t.TempDir())
	if _, err := k.Make(p); err != nil {
		t.Fatal(err)
	}
	return k
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
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(startTime) {
		t.Fatal("the server is not ready")
	}
	return s
}

// kinds of subjects, and those of the campus: each way between any two nodes.
var kinds = []subject.Kind{subject.Propagate, subject.Digest, subject.Repair}

// member is one of those who try all subjects.
type member struct {
	who     string
	nc      *nats.Conn
	mu      sync.Mutex
	refused []string // "publish SUBJECT" or "hear SUBJECT"
	heard   []string // "SUBJECT WHO STAMP"
}

func join(t *testing.T, who, url string, options []nats.Option) *member {
	t.Helper()
	m := &member{who: who}
	options = append(options, nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		_, what, _ := strings.Cut(err.Error(), "permissions violation: Permissions Violation for ")
		verb, rest, _ := strings.Cut(what, " to ")
		verb = map[string]string{"Publish": "publish", "Subscription": "hear"}[verb]
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

func (m *member) flush(t *testing.T) {
	t.Helper()
	if err := m.nc.FlushWithContext(deadline(t)); err != nil {
		t.Fatal(err)
	}
}

// leave returns what was refused and heard, in order, once everything has been delivered.
func (m *member) leave(t *testing.T) (refused, heard []string) {
	t.Helper()
	closed := make(chan struct{})
	m.nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if err := m.nc.Drain(); err != nil {
		t.Fatal(err)
	}
	<-closed // after all messages and errors
	slices.Sort(m.refused)
	slices.Sort(m.heard)
	return m.refused, m.heard
}

// matrix has everybody try to hear and to publish on every subject at the same time, with a stamp, and compares what is refused and
// what arrives with what the topology says.
func matrix(t *testing.T, url string, sight Sight, options func(who string) []nats.Option) {
	var subjects []string
	for _, kind := range kinds {
		for from := range campus {
			for to := range campus {
				subjects = append(subjects, subject.Of("herd", kind, from, to))
			}
		}
	}
	mayPublish := func(who, s string) bool {
		_, _, from, to, _ := subject.Parse(s)
		return from == who && slices.Contains(campus[from], to)
	}
	mayHear := func(who, s string) bool {
		_, kind, from, to, _ := subject.Parse(s)
		if who == "observer" {
			return kind != subject.Repair || sight == SeeAll
		}
		return to == who && slices.Contains(campus[from], to)
	}
	everybody := slices.Collect(maps.Keys(campus))
	if sight != "" {
		everybody = append(everybody, "observer")
	}
	var members []*member
	for _, who := range everybody {
		m := join(t, who, url, options(who))
		for _, s := range subjects {
			if _, err := m.nc.Subscribe(s, func(msg *nats.Msg) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.heard = append(m.heard, msg.Subject+" "+string(msg.Data)+" "+msg.Reply)
			}); err != nil {
				t.Fatal(err)
			}
		}
		m.flush(t)
		members = append(members, m)
	}
	for _, m := range members {
		for _, s := range subjects {
			if err := m.nc.PublishRequest(s, sampleText, []byte(m.who)); err != nil {
				t.Fatal(err)
			}
		}
		m.flush(t)
	}
	allowed := 0
	for _, m := range members {
		var refused, heard []string
		for _, s := range subjects {
			if !mayPublish(m.who, s) {
				refused = append(refused, "publish "+s)
			} else {
				allowed++
			}
			if !mayHear(m.who, s) {
				refused = append(refused, "hear "+s)
				continue
			}
			for _, who := range everybody {
				if mayPublish(who, s) {
					heard = append(heard, s+" "+who+" "+sampleText)
				}
			}
		}
		slices.Sort(refused)
		slices.Sort(heard)
		gotRefused, gotHeard := m.leave(t)
		if !slices.Equal(gotRefused, refused) {
			t.Errorf("%s was refused %d times, want %d:\n%q\nwant\n%q", m.who, len(gotRefused), len(refused), gotRefused, refused)
		}
		if !slices.Equal(gotHeard, heard) {
			t.Errorf("%s heard %q, want %q", m.who, gotHeard, heard)
		}
	}
	if allowed != 12*3 || len(subjects) != 36*3 {
		t.Errorf("%d of %d subjects could be published on: not all was tried", allowed, len(subjects))
	}
}

// The permissions of the embedded server.
func TestPermissions(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	matrix(t, s.URL(), SeeFlood, func(who string) []nats.Option {
		if who == "observer" {
			return nil
		}
		return s.Dialer(who).credentials.Load().options()
	})
}

// Those of a real server with the configuration that was made for it, in each mode.
func TestPermissionsOfConfig(t *testing.T) {
	for name, adjust := range map[string][]func(*Plan){
		"nkeys":                {},
		"nkeys, TLS":           {encrypted},
		"nkeys, account":       {accounted},
		"nkeys, no observers":  {private},
		"nkeys, open":          {open},
		"mtls":                 {mutual},
		"mtls, account":        {mutual, accounted},
		"mtls, no observers":   {mutual, private},
		"mtls, open, accounts": {mutual, open, accounted},
		"nkeys, micro":         {asked},
		"mtls, micro":          {mutual, asked},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(adjust...)
			k := makeKeys(t, p)
			s := startFrom(t, filepath.Join(k.server("nats"), serverConfig))
			matrix(t, s.ClientURL(), p.Observer, func(who string) []nats.Option { return k.options(t, who) })
		})
	}
}

// options are those of the credentials of a node, or of observers.
func (k Keyring) options(t testing.TB, who string) []nats.Option {
	t.Helper()
	read := func() (*Credentials, error) { return k.Node(who) }
	if who == "observer" {
		read = k.Observer
	}
	c, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return c.options()
}

// The account to include does the same on a server that serves others too, and keeps them apart.
func TestPermissionsOfInclude(t *testing.T) {
	p := plan(accounted)
	k := makeKeys(t, p)
	text, err := k.Include(p)
	if err != nil {
		t.Fatal(err)
	}
	observer, err := observerKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "herd.conf"), string(text))
	writeFile(t, filepath.Join(dir, "own.conf"), fmt.Sprintf(`
		listen: "127.0.0.1:-1"
		no_auth_user: %s
		accounts: {
			OTHERS: { users: [{user: other, password: secret}] }
			include "herd.conf"
		}`, observer))
	s := startFrom(t, filepath.Join(dir, "own.conf"))
	other, err := nats.Connect(s.ClientURL(), nats.UserInfo("other", "secret"), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	leaked, err := other.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	matrix(t, s.ClientURL(), p.Observer, func(who string) []nats.Option { return k.options(t, who) })
	if err := other.FlushWithContext(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := leaked.Pending(); err != nil || n != 0 {
		t.Errorf("another account heard %d messages: %v", n, err)
	}
}
