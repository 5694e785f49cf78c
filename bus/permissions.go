package bus

import "github.com/nats-io/nats-server/v2/server"

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

// observerPermissions let an observer hear the herd, but for repair, and publish nothing.
func observerPermissions(herd string) *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Deny: []string{everything}},
		Subscribe: &server.SubjectPermission{
			Allow: []string{herd + "." + everything},
			Deny:  []string{herd + "." + string(Repair) + "." + everything},
		},
	}
}
