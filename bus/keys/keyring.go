package keys

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/nats-io/nkeys"

	"herd/configs/secret"
)

// Keyring is a directory with what the nodes of a herd, its observers and its NATS servers authenticate each other with:
//
//	nodes/NODE/         credentials of one node, see [Load]
//	observer/           those of observers, if they need any
//	query/              those of the user that queries micro services, if nodes are some
//	servers/SERVER/     nats-server.conf and the server's certificate
//	ca/                 the authority behind all certificates
//
// Each folder is complete: a node needs no other than its own, in the same place.
type Keyring string

// serverConfig is the name of a server's configuration.
const serverConfig = "nats-server.conf"

func (k Keyring) node(name string) string   { return filepath.Join(string(k), "nodes", name) }
func (k Keyring) server(name string) string { return filepath.Join(string(k), "servers", name) }
func (k Keyring) observer() string          { return filepath.Join(string(k), ObserverUser) }
func (k Keyring) queryDir() string          { return filepath.Join(string(k), QueryUser) }

// Node returns the credentials of a node.
func (k Keyring) Node(name string) (*Credentials, error) { return Load(k.node(name)) }

// Observer returns the credentials of an observer, which are nil where an observer needs none.
func (k Keyring) Observer() (*Credentials, error) {
	c, err := Load(k.observer())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return c, err
}

// Query returns the credentials of the user that queries micro services.
func (k Keyring) Query() (*Credentials, error) { return Load(k.queryDir()) }

// NodeKey returns the nkey of a node.
func (k Keyring) NodeKey(node string) (nkeys.KeyPair, error) { return loadKey(k.node(node)) }

// QueryKey returns the nkey of the user that queries micro services.
func (k Keyring) QueryKey() (nkeys.KeyPair, error) { return loadKey(k.queryDir()) }

func loadKey(dir string) (nkeys.KeyPair, error) {
	key, err := loadSeed(filepath.Join(dir, seedFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; make it with 'herd bus keys'", err)
	}
	return key, err
}

// Made says what [Keyring.Make] did.
type Made struct {
	New    []string `json:"made"`   // nodes that got a key or a certificate
	Kept   []string `json:"kept"`   // nodes that had one
	Unused []string `json:"unused"` // nodes that have a key and are not in the plan
	Files  []string `json:"wrote"`  // configurations of servers
}

// Make makes what a plan needs and the directory lacks. Keys that are there are kept, and certificates too, unless they expire soon.
// The configurations of the servers are written anew.
func (k Keyring) Make(p Plan) (made Made, err error) {
	defer func() {
		if err != nil {
			made, err = Made{}, fmt.Errorf("make keys: %w", err)
		}
	}()
	if err := p.Check(); err != nil {
		return made, err
	}
	if p.Group && os.Geteuid() != 0 {
		return made, errors.New("only root can share keys with a group; run it as root, or as the user of the nodes without --group-readable")
	}
	if err := k.checkMode(p); err != nil {
		return made, err
	}
	w := &writer{group: p.Group}
	var ca *authority
	if p.encrypted() {
		if err := w.folder(string(k)); err != nil {
			return made, err
		}
		if ca, err = openAuthority(filepath.Join(string(k), "ca"), p.Herd); err != nil {
			return made, err
		}
	}
	for _, node := range slices.Sorted(maps.Keys(p.Neighbours)) {
		fresh, err := makeCredentials(w, p, ca, k.node(node), node)
		switch {
		case err != nil:
			return made, err
		case fresh:
			made.New = append(made.New, node)
		default:
			made.Kept = append(made.Kept, node)
		}
	}
	switch {
	case p.Observer == "" || ca == nil:
	case p.Mode == MTLS:
		_, err = ca.issue(w, k.observer(), ObserverUser, nil)
	default:
		err = ca.writeTo(w, k.observer())
	}
	if err != nil {
		return made, err
	}
	if p.Micro {
		if _, err := makeCredentials(w, p, ca, k.queryDir(), QueryUser); err != nil {
			return made, err
		}
	}
	if made.Files, err = k.makeServers(w, p, ca); err != nil {
		return made, err
	}
	made.Unused, err = k.unused(p)
	return made, err
}

// checkMode returns an error if there are keys of another mode: with those of two, nodes could not connect in either.
func (k Keyring) checkMode(p Plan) error {
	dirs := []string{k.observer(), k.queryDir()}
	for node := range p.Neighbours {
		dirs = append(dirs, k.node(node))
	}
	var other []string
	if p.Mode == MTLS {
		other = []string{seedFile}
	} else {
		other = []string{certFile, keyFile}
	}
	if !p.encrypted() {
		other = append(other, caFile)
	}
	for _, dir := range slices.Sorted(slices.Values(dirs)) {
		for _, file := range other {
			if exists(dir, file) {
				return fmt.Errorf("%s was made with another mode or with TLS; give --mode and --tls as before, or another directory", filepath.Join(dir, file))
			}
		}
	}
	return nil
}

// makeCredentials makes a folder with the key or the certificate of a user. It reports whether that is new.
func makeCredentials(w *writer, p Plan, ca *authority, dir, name string) (made bool, err error) {
	if p.Mode == MTLS {
		return ca.issue(w, dir, name, nil)
	}
	if ca != nil {
		if err := ca.writeTo(w, dir); err != nil {
			return false, err
		}
	}
	path := filepath.Join(dir, seedFile)
	if _, err := loadSeed(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	key, err := nkeys.CreateUser()
	if err != nil {
		return false, err
	}
	seed, err := key.Seed()
	if err != nil {
		return false, err
	}
	return true, w.write(path, append(seed, '\n'))
}

func (k Keyring) makeServers(w *writer, p Plan, ca *authority) (files []string, err error) {
	password, err := k.routePassword(p)
	if err != nil {
		return nil, err
	}
	password = cmp.Or(password, rand.Text())
	for _, name := range p.Servers {
		dir := k.server(name)
		if ca != nil {
			if _, err := ca.issue(w, dir, name, p.Hosts); err != nil {
				return nil, err
			}
		}
		if len(p.Servers) > 1 {
			if err := w.write(filepath.Join(dir, routeFile), []byte(password+"\n")); err != nil {
				return nil, err
			}
		}
		text, err := k.render(p, "server", name, password)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, serverConfig)
		if err := w.write(path, text); err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return files, nil
}

// routeFile has the password that servers of a cluster show each other.
const routeFile = "route.password"

// routePassword returns the password of routes that the first of the servers has that has one, or "".
func (k Keyring) routePassword(p Plan) (string, error) {
	for _, name := range p.Servers {
		text, err := secret.Read(filepath.Join(k.server(name), routeFile))
		switch {
		case err == nil && routeForm.Match(text):
			return string(text[:len(text)-1]), nil
		case err == nil:
			return "", fmt.Errorf("%s is not a password that 'herd bus keys' made", filepath.Join(k.server(name), routeFile))
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	return "", nil
}

// unused lists the nodes that have a key and are not in the plan.
func (k Keyring) unused(p Plan) (nodes []string, err error) {
	entries, err := os.ReadDir(filepath.Join(string(k), "nodes"))
	for _, e := range entries {
		if _, planned := p.Neighbours[e.Name()]; !planned {
			nodes = append(nodes, e.Name())
		}
	}
	return nodes, err
}

// writer makes files and folders that only their owner can read, or the group as well.
type writer struct{ group bool }

func (w *writer) folder(dir string) error {
	if w.group {
		return os.MkdirAll(dir, 0o750)
	}
	return os.MkdirAll(dir, 0o700)
}

// write replaces a file as a whole, whose reader sees the old one or the new one, and makes its folder if there is none.
func (w *writer) write(path string, text []byte) error {
	if err := w.folder(filepath.Dir(path)); err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if w.group {
		mode = 0o640
	}
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer file.Cleanup() // does nothing after success
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}
