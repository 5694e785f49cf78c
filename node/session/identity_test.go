package session

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"herd/node/line"
)

// certified returns the IDs in a certificate with these alternative names, as each is in the certificate.
func certified(t testing.TB, names ...asn1.RawValue) []string {
	t.Helper()
	value, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		Subject:    pkix.Name{CommonName: "common"},
		Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 7, 128}}, {Id: subjectAltName, Value: value}},
	}
	return slices.Sorted(maps.Keys(identitiesOf(leaf)))
}

func alternative(tag int, text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
}

func TestIdentities(t *testing.T) {
	long := strings.Repeat("x", line.MaxClient)
	for _, test := range []struct {
		tag  int
		name string
		want []string // the common name is never among them
	}{
		{tagDNS, "kiwi.cs.ucla.edu", []string{"kiwi.cs.ucla.edu"}},
		{tagDNS, "Kiwi.CS.ucla.edu", []string{"Kiwi.CS.ucla.edu"}},
		{tagDNS, "kiwi.", []string{"kiwi."}},
		{tagDNS, "*.ucla.edu", nil},
		{tagDNS, "kiwi*", nil},
		{tagDNS, "*", nil},
		{tagDNS, "", nil},
		{tagDNS, "ki wi", nil},
		{tagDNS, "ki%77i", []string{"ki%77i"}},
		{tagDNS, "urn:herd:client:kiwi", []string{"urn:herd:client:kiwi"}},
		{tagDNS, long, []string{long}},
		{tagDNS, long + "x", nil},

		{tagURI, "urn:herd:client:kiwi", []string{"kiwi"}},
		{tagURI, "urn:herd:client:Kiwi", []string{"Kiwi"}},
		{tagURI, "urn:herd:client:ki%77i", []string{"kiwi"}},
		{tagURI, "urn:herd:client:%4b%4B", []string{"KK"}},
		{tagURI, "urn:herd:client:%ff%00%FE", []string{"\xff\x00\xfe"}},
		{tagURI, "urn:herd:client:100%25", []string{"100%"}},
		{tagURI, "urn:herd:client:%2525", []string{"%25"}},
		{tagURI, "urn:herd:client:a/b//c:d;e=f+g@h&i", []string{"a/b//c:d;e=f+g@h&i"}},
		{tagURI, "urn:herd:client:what%3F%23", []string{"what?#"}},
		{tagURI, "urn:herd:client:*", []string{"*"}},
		{tagURI, "urn:herd:client:" + long, []string{long}},
		{tagURI, "urn:herd:client:" + strings.Repeat("%78", line.MaxClient), []string{long}},
		{tagURI, "urn:herd:client:" + long + "x", nil},
		{tagURI, "urn:herd:client:", nil},
		{tagURI, "urn:herd:client:a%20b", nil},
		{tagURI, "urn:herd:client:a%0a", nil},
		{tagURI, "urn:herd:client:a b", nil},
		{tagURI, "urn:herd:client:kiwi?", nil},
		{tagURI, "urn:herd:client:kiwi?x=y", nil},
		{tagURI, "urn:herd:client:kiwi#", nil},
		{tagURI, "urn:herd:client:kiwi#part", nil},
		{tagURI, "urn:herd:client:100%", nil},
		{tagURI, "urn:herd:client:%4", nil},
		{tagURI, "urn:herd:client:%zz", nil},
		{tagURI, "URN:herd:client:kiwi", nil},
		{tagURI, "urn:Herd:client:kiwi", nil},
		{tagURI, "urn:herd:clients:kiwi", nil},
		{tagURI, "urn:herd:client", nil},
		{tagURI, " urn:herd:client:kiwi", nil},
		{tagURI, "urn%3Aherd:client:kiwi", nil},
		{tagURI, "https://kiwi", nil},

		{1, "kiwi@example", nil},         // an e-mail address
		{7, "\x7f\x00\x00\x01", nil},     // an IP address
		{8, "\x06\x03\x55\x04\x03", nil}, // a registered ID
	} {
		if got := certified(t, alternative(test.tag, test.name)); !slices.Equal(got, test.want) {
			t.Errorf("name of kind %d, %.60q: IDs %.60q, want %.60q", test.tag, test.name, got, test.want)
		}
	}
	all := certified(t, alternative(tagDNS, "b"), alternative(tagDNS, "*"), alternative(tagURI, "urn:herd:client:a"), alternative(tagDNS, "b"))
	if want := []string{"a", "b"}; !slices.Equal(all, want) {
		t.Errorf("several names: IDs %q, want %q", all, want)
	}
	if got := identitiesOf(new(x509.Certificate)); got == nil || len(got) > 0 {
		t.Errorf("no name at all: IDs %v, want an empty set, which allows none", got)
	}
	universal := asn1.RawValue{Class: asn1.ClassUniversal, Tag: tagDNS, Bytes: []byte("kiwi")}
	if got := certified(t, universal); len(got) > 0 {
		t.Errorf("what is no alternative name: IDs %q", got)
	}
}

// Any valid ID has a URI that means it and nothing else, also when no byte of it is escaped that need not be.
func FuzzIdentityURI(f *testing.F) {
	for _, id := range []string{"kiwi.cs.ucla.edu", "100%", "%2f", "a/b?c#d", "\xff\x00*", "+~-._", "é", ""} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		var all, some strings.Builder
		for i := range len(id) {
			fmt.Fprintf(&all, "%%%02x", id[i])
			if c := id[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("%?#", c) >= 0 {
				fmt.Fprintf(&some, "%%%02X", c)
			} else {
				some.WriteByte(c)
			}
		}
		var want []string
		if line.ValidClient(id) {
			want = []string{id}
		}
		for _, escaped := range []string{all.String(), some.String()} {
			if got := certified(t, alternative(tagURI, clientURN+escaped)); !slices.Equal(got, want) {
				t.Errorf("%s%s: IDs %q, want %q", clientURN, escaped, got, want)
			}
		}
	})
}
