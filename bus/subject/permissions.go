package subject

import "time"

// Subjects are those on which a user may publish or subscribe: those that Allow has and Deny has not.
type Subjects struct{ Allow, Deny []string }

// Permissions are what a user of the bus may do.
type Permissions struct {
	Publish, Subscribe Subjects
	Responses          int           // how many times the user may publish on the reply subject of each message received
	ResponseTime       time.Duration // how long after its receipt
}

const (
	everything   = ">"
	services     = "$SRV.>" // on which micro services are found (ADR-32)
	responseTime = 2 * time.Second

	// QueryInbox begins the subjects on which the user that queries micro services may receive answers.
	QueryInbox = "_INBOX_query"
)

// Where is the subject on which any one node of a herd answers where a client is; with a node's name behind it, that node does.
func Where(herd string) string { return herd + ".where" }

// ForNode lets a node publish on its links to its neighbours and subscribe to theirs to it, whatever the kind. As a micro service it
// also receives requests, and may answer each once, wherever the requester wants the answer.
func ForNode(herd, node string, neighbours []string, micro bool) Permissions {
	var p Permissions
	for _, peer := range neighbours {
		p.Publish.Allow = append(p.Publish.Allow, Of(herd, Any, node, peer))
		p.Subscribe.Allow = append(p.Subscribe.Allow, Of(herd, Any, peer, node))
	}
	if micro {
		p.Subscribe.Allow = append(p.Subscribe.Allow, services, Where(herd), Where(herd)+"."+node)
		p.Responses, p.ResponseTime = 1, responseTime
	}
	for _, each := range []*Subjects{&p.Publish, &p.Subscribe} {
		if len(each.Allow) == 0 {
			each.Deny = []string{everything} // where no subject is allowed, NATS would allow all that are not denied
		}
	}
	return p
}

// ForQuery lets the user that queries micro services publish requests, and receive the answers.
func ForQuery(herd string) Permissions {
	return Permissions{
		Publish:   Subjects{Allow: []string{services, Where(herd), Where(herd) + "." + Any}},
		Subscribe: Subjects{Allow: []string{QueryInbox + "." + everything}},
	}
}

// Scope is what observers may receive.
type Scope string

// The scopes of observers.
const (
	ScopeFlood Scope = "flood" // everything but syncs, which carries whole registries
	ScopeAll   Scope = "all"
)

// ForObserver lets an observer receive what is in its scope, and publish nothing.
func ForObserver(herd string, scope Scope) Permissions {
	p := Permissions{Publish: Subjects{Deny: []string{everything}}, Subscribe: Subjects{Allow: []string{herd + "." + everything}}}
	if scope != ScopeAll {
		p.Subscribe.Deny = []string{herd + "." + string(Sync) + "." + everything}
	}
	return p
}
