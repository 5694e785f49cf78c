package bus

import (
	"crypto/sha256"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"herd/bus/subject"
)

const everything = ">"

// nodePermissions let a node publish on its links to its neighbours and hear theirs to it, whatever the kind. As a micro service it also
// hears questions, and may answer each once, wherever the asker wants the answer.
func nodePermissions(herd, node string, neighbours []string, micro bool) *server.Permissions {
	p := &server.Permissions{Publish: &server.SubjectPermission{}, Subscribe: &server.SubjectPermission{}}
	for _, peer := range neighbours {
		p.Publish.Allow = append(p.Publish.Allow, subject.Of(herd, subject.Any, node, peer))
		p.Subscribe.Allow = append(p.Subscribe.Allow, subject.Of(herd, subject.Any, peer, node))
	}
	if micro {
		p.Subscribe.Allow = append(p.Subscribe.Allow, services, whereSubject(herd), whereSubject(herd)+"."+node)
		p.Response = &server.ResponsePermission{MaxMsgs: 1, Expires: answerTime}
	}
	for _, each := range []*server.SubjectPermission{p.Publish, p.Subscribe} {
		if len(each.Allow) == 0 {
			each.Deny = []string{everything} // nothing allowed would mean nothing denied
		}
	}
	return p
}

// queryPermissions let whoever asks the micro services ask, and hear the answers.
func queryPermissions(herd string) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{services, whereSubject(herd), whereSubject(herd) + "." + subject.Any}},
		Subscribe: &server.SubjectPermission{Allow: []string{QueryInbox + "." + everything}},
	}
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
		hear.Deny = []string{herd + "." + string(subject.Repair) + "." + everything}
	}
	return &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{everything}}, Subscribe: hear}
}
