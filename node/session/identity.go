package session

import (
	"crypto/x509"
	"encoding/asn1"
	"net/url"
	"strings"

	"herd/node/line"
)

// clientURN starts the URIs that name a client in a certificate. Its ID follows, in which any byte may be written as %XX.
const clientURN = "urn:herd:client:"

// Parts of a subject alternative name (RFC 5280, 4.2.1.6).
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

const (
	tagDNS = 2
	tagURI = 6
)

// identities are the IDs of the clients that a certificate is for.
type identities map[string]struct{}

// identitiesOf reads them from the certificate's bytes: x509 folds the case of a URI's scheme and drops an empty fragment, and an ID is
// compared byte for byte. The subject's common name counts for nothing.
func identitiesOf(leaf *x509.Certificate) identities {
	ids := make(identities)
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(subjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if _, err := asn1.Unmarshal(extension.Value, &names); err != nil {
			continue // x509 has parsed it, so this does not happen
		}
		for _, name := range names {
			id, ok := "", false
			switch {
			case name.Class != asn1.ClassContextSpecific:
			case name.Tag == tagDNS:
				id = string(name.Bytes)
				ok = !strings.Contains(id, "*") // a wildcard is neither an ID nor stands for any
			case name.Tag == tagURI:
				id, ok = clientOfURI(string(name.Bytes))
			}
			if ok && line.ValidClient(id) {
				ids[id] = struct{}{}
			}
		}
	}
	return ids
}

// clientOfURI returns the ID that a URI names, and whether it names one.
func clientOfURI(uri string) (id string, ok bool) {
	escaped, ours := strings.CutPrefix(uri, clientURN)
	if !ours || strings.ContainsAny(escaped, "?#") {
		return "", false
	}
	id, err := url.PathUnescape(escaped)
	return id, err == nil
}
