// Package keys makes and loads what nodes, observers and NATS servers authenticate each other with: nkeys, certificates, and the
// configurations of NATS servers in which each node may publish and subscribe on its own links alone.
package keys

import (
	"bytes"
	"crypto/sha256"
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

	"herd/bus/subject"

	"github.com/nats-io/nkeys"
)

// Mode is how nodes authenticate to a NATS server.
type Mode string

// The modes.
const (
	Nkeys Mode = "nkeys" // each signs with its own key; the connection may be encrypted besides
	MTLS  Mode = "mtls"  // each has a certificate with its name; there are no passwords
)

// Names of users that are no nodes.
const (
	ObserverUser = "observer" // where observers have certificates
	QueryUser    = "query"    // may query micro services
)

// Plan is what the keys and the NATS servers of a herd are made for.
type Plan struct {
	Herd       string
	Neighbours map[string][]string // of each node
	Mode       Mode
	TLS        bool          // encrypt in mode nkeys too
	Observer   subject.Scope // of connections without a key or, in mode mtls, with the certificate of the observer; "": those are refused
	Micro      bool          // nodes may answer as micro services, and the user query may query them
	Account    string        // NATS account that the herd has to itself; "": the server's only one
	Servers    []string      // hosts at which the servers of a cluster find each other; or one name
	Hosts      []string      // further hosts and addresses at which nodes find the servers, for the certificates
	Listen     string        // HOST:PORT for nodes and observers
	Monitor    string        // HOST:PORT for monitoring over HTTP, or "" for none
	Files      string        // directory in which a server finds its certificate when it runs; "": where it is made
	Group      bool          // the group may read the keys
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
	fault(p.Observer != "" && p.Observer != subject.ScopeFlood && p.Observer != subject.ScopeAll, "observer %q is neither %s nor %s", p.Observer, subject.ScopeFlood, subject.ScopeAll)
	fault(p.Account != "" && !accountForm.MatchString(p.Account), "account %q is not a name", p.Account)
	_, clash := p.Neighbours[ObserverUser]
	fault(p.Mode == MTLS && p.Observer != "" && clash, "a node called %s and observers with a certificate of that name exclude each other", ObserverUser)
	_, clash = p.Neighbours[QueryUser]
	fault(p.Mode == MTLS && p.Micro && clash, "a node called %s and a certificate of that name for queries exclude each other; rename it", QueryUser)
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

// Include returns an account for the configuration of a NATS server that serves others too. With it the server serves a plan's nodes.
func (k Keyring) Include(p Plan) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Account == "" {
		return nil, errors.New("an account must be named")
	}
	return k.render(p, "include", "", "")
}

// user is one user of a NATS server.
type user struct {
	Who      string // for a comment
	Identity string // as the configuration has it
	subject.Permissions
}

func (k Keyring) users(p Plan) (users []user, observer string, err error) {
	add := func(who, name, nkey string, may subject.Permissions) {
		identity := fmt.Sprintf("nkey: %s", nkey)
		if p.Mode == MTLS {
			identity = fmt.Sprintf("user: %q", name)
		}
		users = append(users, user{who, identity, may})
	}
	for _, node := range slices.Sorted(maps.Keys(p.Neighbours)) {
		public, err := publicKey(p, func() (nkeys.KeyPair, error) { return k.NodeKey(node) })
		if err != nil {
			return nil, "", err
		}
		neighbours := p.Neighbours[node]
		add(fmt.Sprintf("node %s, neighbours: %s", node, strings.Join(neighbours, ", ")), node, public,
			subject.ForNode(p.Herd, node, neighbours, p.Micro))
	}
	if p.Observer != "" {
		may := subject.ForObserver(p.Herd, p.Observer)
		add("observers: receive "+string(p.Observer)+", publish nothing", ObserverUser, "", may)
		if p.Mode == Nkeys {
			observer = p.ObserverName()
			users[len(users)-1].Identity = fmt.Sprintf("user: %q, password: %q # protects nothing, though the server warns of it: who shows nothing is this user", observer, ObserverUser)
		}
	}
	if p.Micro {
		public, err := publicKey(p, k.QueryKey)
		if err != nil {
			return nil, "", err
		}
		add("those who query where a client is", QueryUser, public, subject.ForQuery(p.Herd))
	}
	return users, observer, nil
}

// ObserverName is the user that stands for connections without a key at a NATS server that herd does not embed: before 2.10 that cannot
// be an nkey. It has the name of the herd because a server has each name once, whatever accounts it has.
func (p *Plan) ObserverName() string { return ObserverUser + "-" + p.Herd }

// ObserverPublicKey is the nkey of the user that stands for connections without a key at the embedded server. It is a hash, so that it has no known seed with which
// one could connect, and is the same on every server.
func ObserverPublicKey() (string, error) {
	sum := sha256.Sum256([]byte("observer of a herd"))
	key, err := nkeys.Encode(nkeys.PrefixByteUser, sum[:])
	return string(key), err
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
