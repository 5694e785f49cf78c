package importer

import (
	"errors"
	"io"
	"slices"
	"strings"

	"herd/places"
	"herd/places/file"
	"herd/places/osm"
)

// fields are what is known of an object that is somebody's own, by names in small letters.
type fields map[string]string

// names are the usual names of fields, the preferred one first.
type names []string

var (
	idNames       = names{"id", "@id", "place_id", "osm_id"}
	nameNames     = names{"name", "title"}
	latNames      = names{"lat", "latitude", "y"}
	lngNames      = names{"lon", "lng", "long", "longitude", "x"}
	typeNames     = names{"types", "type", "kind", "category"}
	vicinityNames = names{"vicinity", "address"}
)

// of returns the first value that is not blank.
func (n names) of(f fields) string {
	for _, name := range n {
		if v := strings.TrimSpace(f[name]); v != "" {
			return v
		}
	}
	return ""
}

// putOwn takes a place of somebody's own. One without an id is known by its name and position.
func (s *sink) putOwn(f fields, id string, at places.Point) error {
	p := places.Place{Geometry: places.Geometry{Location: at}, Name: nameNames.of(f), PlaceID: id, Vicinity: vicinityNames.of(f)}
	if p.PlaceID == "" {
		p.PlaceID = idNames.of(f)
	}
	if p.PlaceID == "" {
		p.PlaceID = noID(p.Name, at)
	}
	if p.Vicinity == "" {
		p.Vicinity = osm.Vicinity(f)
	}
	if p.Types = osm.Types(f); len(p.Types) == 0 { // those of an object of OpenStreetMap
		p.Types = ownTypes(typeNames.of(f))
	}
	return s.put(p)
}

// ownTypes returns the types that a text names: "Coffee Shop; Bar" is coffee_shop and bar. What cannot be a type is left out, and
// those that every place of its kind has are added.
func ownTypes(text string) []string {
	var types []string
	add := func(t string) {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	for t := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune(",;|", c) }) {
		t = strings.Join(strings.FieldsFunc(strings.ToLower(t), func(c rune) bool { return strings.ContainsRune(" -_/\t", c) }), "_")
		if file.IsType(t) && len(types) < file.MaxTypes-2 {
			add(t)
		}
	}
	switch {
	case slices.Contains(types, "political"):
	case slices.Contains(types, "locality"), slices.Contains(types, "neighborhood"):
		add("political")
	case slices.Contains(types, "natural_feature"):
		add("establishment")
	default:
		add("point_of_interest")
		add("establishment")
	}
	return types
}

// budget gives so many bytes and then an error, so that nothing that is read as a whole takes more memory.
type budget struct {
	from io.Reader
	left int
}

// maxObject is how many bytes a feature or a row may have.
const maxObject = 16 << 20

var errBudget = errors.New("a feature or a row has more than 16 MiB")

func (b *budget) renew() { b.left = maxObject }

func (b *budget) Read(into []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBudget
	}
	n, err := b.from.Read(into[:min(len(into), b.left)])
	b.left -= n
	return n, err
}
