package bus

import (
	"crypto/sha256"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

const everything = ">"

// nodePermissions let a node publish on its links to its neighbours and hear theirs to it, whatever the kind.
func nodePermissions(herd, node string, neighbours []string) *server.Permissions {
	if len(neighbours) == 0 {
		// Nothing allowed would mean nothing denied.
		none := &server.SubjectPermission{Deny: []string{everything}}
		return &server.Permissions{Publish: none, Subscribe: none}
	}
	p := &server.Permissions{Publish: &server.SubjectPermission{}, Subscribe: &server.SubjectPermission{}}
	for _, peer := range neighbours {
		p.Publish.Allow = append(p.Publish.Allow, subject(herd, anyKind, node, peer))
		p.Subscribe.Allow = append(p.Subscribe.Allow, subject(herd, anyKind, peer, node))
	}
	return p
}

// observerKey is the nkey of the user that a server takes anonymous connections for. It is a hash: nobody has its seed, so
// nobody can show it, and it is the same on every server.
func observerKey() (public string, err error) {
	sum := sha256.Sum256([]byte("observer of a herd"))
	key, err := nkeys.Encode(nkeys.PrefixByteUser, sum[:])
	return string(key), err
}

// observerPermissions let an observer hear the herd as far as its sight goes, and publish nothing.
func observerPermissions(herd string, sight Sight) *server.Permissions {
	hear := &server.SubjectPermission{Allow: []string{herd + "." + everything}}
	if sight != SeeAll {
		hear.Deny = []string{herd + "." + string(Repair) + "." + everything}
	}
	return &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{everything}}, Subscribe: hear}
}
