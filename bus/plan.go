package bus

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Mode is how nodes show a NATS server who they are.
type Mode string

// The modes.
const (
	Nkeys Mode = "nkeys" // each signs with its own key; the connection may be encrypted besides
	MTLS  Mode = "mtls"  // each has a certificate with its name; there are no passwords
)

// Sight is what an observer may hear.
type Sight string

// What observers may hear. None are let in unless a plan says so.
const (
	SeeFlood Sight = "flood" // everything but repair, which carries whole registries
	SeeAll   Sight = "all"
)

// observerName is the user of observers where they have certificates.
const observerName = "observer"

// queryName is the user who may ask micro services.
const queryName = "query"

// Plan is what the keys and the NATS servers of a herd are made for.
type Plan struct {
	Herd       string
	Neighbours map[string][]string // of each node
	Mode       Mode
	TLS        bool     // encrypt in mode nkeys too
	Observer   Sight    // of whoever connects without a key or, in mode mtls, with the certificate of the observer; "": nobody does
	Micro      bool     // nodes may answer as micro services, and the user query may ask them
	Account    string   // NATS account that the herd has to itself; "": the server's only one
	Servers    []string // hosts at which the servers of a cluster find each other; or one name
	Hosts      []string // further hosts and addresses at which nodes find the servers, for the certificates
	Listen     string   // HOST:PORT for nodes and observers
	Monitor    string   // HOST:PORT for monitoring over HTTP, or "" for none
	Files      string   // directory in which a server will find its certificate; "": where it is made
	Group      bool     // the group may read the keys
}

var (
	accountForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	hostForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$`)
	addressForm = regexp.MustCompile(`^([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):-?[0-9]+$`)
	routeForm   = regexp.MustCompile(`^[A-Z2-7]{26,}\n$`) // that of rand.Text
)

func (p *Plan) encrypted() bool { return p.TLS || p.Mode == MTLS }

// Check returns everything that is wrong with a plan.
func (p *Plan) Check() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(p.Mode != Nkeys && p.Mode != MTLS, "mode %q is neither %s nor %s", p.Mode, Nkeys, MTLS)
	fault(p.Observer != "" && p.Observer != SeeFlood && p.Observer != SeeAll, "observer %q is neither %s nor %s", p.Observer, SeeFlood, SeeAll)
	fault(p.Account != "" && !accountForm.MatchString(p.Account), "account %q is not a name", p.Account)
	fault(p.Account == server.DEFAULT_SYSTEM_ACCOUNT, "account %s is the server's own", p.Account)
	_, clash := p.Neighbours[observerName]
	fault(p.Mode == MTLS && p.Observer != "" && clash, "a node called %s and observers with a certificate of that name exclude each other", observerName)
	_, clash = p.Neighbours[queryName]
	fault(p.Mode == MTLS && p.Micro && clash, "a node called %s and a certificate of that name for those who ask exclude each other; rename it", queryName)
	for _, name := range slices.Concat(p.Servers, p.Hosts) {
		_, clash := p.Neighbours[name]
		fault(p.Mode == MTLS && clash, "%s is a node and a server or its host: with certificates the server could pass for the node; rename one", name)
	}
	fault(!addressForm.MatchString(p.Listen), "listen %q is not HOST:PORT", p.Listen)
	fault(p.Monitor != "" && !addressForm.MatchString(p.Monitor), "monitor %q is not HOST:PORT", p.Monitor)
	fault(strings.ContainsFunc(p.Files, func(r rune) bool { return !unicode.IsPrint(r) }), "directory %q of servers has characters that cannot be printed", p.Files)
	fault(len(p.Servers) == 0, "no server is named")
	for i, s := range p.Servers {
		fault(!hostForm.MatchString(s), "server %q is not a host", s)
		fault(slices.Contains(p.Servers[:i], s), "server %s is named twice", s)
	}
	for _, h := range p.Hosts {
		fault(!hostForm.MatchString(h) && net.ParseIP(h) == nil, "host %q is neither a name nor an address", h)
	}
	return errors.Join(faults...)
}

// Config returns the configuration of one of a plan's NATS servers, from the keys that are there.
func (k Keyring) Config(p Plan, name string) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if !slices.Contains(p.Servers, name) {
		return nil, fmt.Errorf("server %q is not one of %s", name, strings.Join(p.Servers, ", "))
	}
	password, err := k.routePassword(p)
	if err != nil {
		return nil, err
	}
	if password == "" && len(p.Servers) > 1 {
		return nil, fmt.Errorf("no server in %s has a password for the others; make it with 'herd bus keys' and the same --servers", k)
	}
	return k.render(p, "server", name, password)
}

// Include returns what makes a NATS server that serves others too serve a plan's nodes: an account for the server's block of accounts.
func (k Keyring) Include(p Plan) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Account == "" {
		return nil, errors.New("an account must be named")
	}
	return k.render(p, "include", "", "")
}

// user is one user of a NATS server. Lists of subjects are either allowed or denied, as in [server.SubjectPermission].
type user struct {
	Who, Identity      string
	Publish, Subscribe *server.SubjectPermission
	Response           *server.ResponsePermission // nil: none
}

func (k Keyring) users(p Plan) (users []user, observer string, err error) {
	add := func(who, name, nkey string, may *server.Permissions) {
		identity := fmt.Sprintf("nkey: %s", nkey)
		if p.Mode == MTLS {
			identity = fmt.Sprintf("user: %q", name)
		}
		users = append(users, user{who, identity, may.Publish, may.Subscribe, may.Response})
	}
	for _, node := range slices.Sorted(maps.Keys(p.Neighbours)) {
		public, err := publicKey(p, func() (nkeys.KeyPair, error) { return k.seed(node) })
		if err != nil {
			return nil, "", err
		}
		neighbours := p.Neighbours[node]
		add(fmt.Sprintf("node %s, neighbours: %s", node, strings.Join(neighbours, ", ")), node, public,
			nodePermissions(p.Herd, node, neighbours, p.Micro))
	}
	if p.Observer != "" {
		if observer, err = observerKey(); err != nil {
			return nil, "", err
		}
		add("observers: hear "+string(p.Observer)+", publish nothing", observerName, observer, observerPermissions(p.Herd, p.Observer))
	}
	if p.Micro {
		public, err := publicKey(p, k.query)
		if err != nil {
			return nil, "", err
		}
		add("those who ask where a client is", queryName, public, queryPermissions(p.Herd))
	}
	return users, observer, nil
}

// publicKey returns that of a key, or "" where users have certificates.
func publicKey(p Plan, load func() (nkeys.KeyPair, error)) (string, error) {
	if p.Mode == MTLS {
		return "", nil
	}
	key, err := load()
	if err != nil {
		return "", err
	}
	return key.PublicKey()
}

//go:embed nats-server.conf.tmpl
var configText string

var configTemplate = template.Must(template.New("").Parse(configText))

func (k Keyring) render(p Plan, form, name, password string) ([]byte, error) {
	users, observer, err := k.users(p)
	if err != nil {
		return nil, err
	}
	files := p.Files
	if files == "" {
		if files, err = filepath.Abs(k.server(name)); err != nil {
			return nil, err
		}
	}
	if p.Mode == MTLS {
		observer = "" // has a name instead
	}
	var text bytes.Buffer
	err = configTemplate.ExecuteTemplate(&text, form, map[string]any{
		"Plan": p, "Name": name, "Users": users, "Observer": observer,
		"Encrypted": p.encrypted(), "MTLS": p.Mode == MTLS,
		"Cert": filepath.Join(files, certFile), "Key": filepath.Join(files, keyFile), "CA": filepath.Join(files, caFile),
		"Clustered": len(p.Servers) > 1, "Password": password,
		"Earlier": p.Servers[:max(0, slices.Index(p.Servers, name))],
	})
	return text.Bytes(), err
}
