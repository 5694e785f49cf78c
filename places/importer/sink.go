package importer

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"herd/places"
	"herd/places/file"
	"herd/places/osm"
)

// Reason says why an object of the input is not in the file. It completes the sentence "5 objects …".
type Reason string

// The reasons.
const (
	NoName      Reason = "without a name"
	BadName     Reason = "with a name that is too long or not UTF-8"
	NotPlace    Reason = "named, but not a place"
	BadID       Reason = "with an id that is too long or not printable"
	Twice       Reason = "with an id that was there before"
	BadPosition Reason = "without coordinates on Earth"
	Incomplete  Reason = "partly outside the file"
	BadRow      Reason = "with more or fewer columns than the header"
	NoFeature   Reason = "that are not features"
)

// why describes what was skipped, or returns "".
func (r *Result) why() string {
	if len(r.Skipped) == 0 {
		return ""
	}
	var all []string
	for _, reason := range r.Reasons() {
		all = append(all, fmt.Sprintf("%d %s", r.Skipped[reason], reason))
	}
	return "; skipped: " + strings.Join(all, ", ")
}

// Reasons returns the reasons in Skipped, the most frequent first.
func (r *Result) Reasons() []Reason {
	return slices.SortedFunc(maps.Keys(r.Skipped), func(a, b Reason) int {
		return cmp.Or(cmp.Compare(r.Skipped[b], r.Skipped[a]), cmp.Compare(a, b))
	})
}

// sink writes valid places to a file and counts the others.
type sink struct {
	out      *file.Writer
	in       *input
	progress func(Progress) // may be nil
	result   Result

	// ids has the hashes of the ids in the file, at most file.MaxPlaces. Of ten million ids two have the same hash with a probability of
	// 1 : 370,000. It is nil if the input is sorted by id.
	ids  map[uint64]struct{}
	seed maphash.Seed
}

func newSink(out *file.Writer, in *input, c Config) *sink {
	s := &sink{out: out, in: in, progress: c.Progress, seed: maphash.MakeSeed()}
	s.result = Result{Format: in.format, Origin: c.Origin, Skipped: make(map[Reason]int)}
	if in.format != OSM {
		s.ids = make(map[uint64]struct{})
	}
	return s
}

func (s *sink) skip(r Reason) { s.result.Skipped[r]++ }

// report reports the progress, with the number of bytes of the input that were read.
func (s *sink) report(read int64) {
	if s.progress != nil {
		s.progress(Progress{Read: read, Size: s.in.size, Places: s.result.Places, Passes: s.result.Passes})
	}
}

// add writes a place, or skips it if it is not valid.
func (s *sink) add(p places.Place) error {
	p.Name, p.Vicinity = tidy(p.Name), tidy(p.Vicinity)
	if len(p.Vicinity) > file.MaxText || !utf8.ValidString(p.Vicinity) {
		p.Vicinity = ""
	}
	hash := maphash.String(s.seed, p.PlaceID)
	_, twice := s.ids[hash]
	switch {
	case !p.Geometry.Location.OnEarth():
		s.skip(BadPosition)
	case p.Name == "":
		s.skip(NoName)
	case len(p.Name) > file.MaxText || !utf8.ValidString(p.Name):
		s.skip(BadName)
	case p.PlaceID == "" || len(p.PlaceID) > file.MaxID || tidy(p.PlaceID) != p.PlaceID || !utf8.ValidString(p.PlaceID):
		s.skip(BadID)
	case twice:
		s.skip(Twice)
	default:
		if s.ids != nil {
			s.ids[hash] = struct{}{}
		}
		s.result.Places++
		return s.out.Write(p)
	}
	return nil
}

// fields are the fields of an object that is not from OpenStreetMap, by their names in small letters.
type fields map[string]string

// names are the usual names of a field, the preferred one first.
type names []string

var (
	idNames       = names{"id", "@id", "place_id", "osm_id"}
	nameNames     = names{"name", "title"}
	latNames      = names{"lat", "latitude", "y"}
	lngNames      = names{"lon", "lng", "long", "longitude", "x"}
	typeNames     = names{"types", "type", "kind", "category"}
	vicinityNames = names{"vicinity", "address"}
)

// of returns the first value in f that is not blank, without the blanks around it, or "".
func (n names) of(f fields) string {
	for _, name := range n {
		if v := strings.TrimSpace(f[name]); v != "" {
			return v
		}
	}
	return ""
}

// addFields writes the place that fields describe. id is its id; if empty, that of a field, or else one made of the name and the position.
func (s *sink) addFields(f fields, id string, at places.Point) error {
	p := places.Place{
		Geometry: places.Geometry{Location: at}, Name: nameNames.of(f), PlaceID: cmp.Or(id, idNames.of(f)),
		Vicinity: cmp.Or(vicinityNames.of(f), osm.Vicinity(f)),
	}
	if p.PlaceID == "" {
		p.PlaceID = noID(p.Name, at)
	}
	if p.Types = osm.Types(f); len(p.Types) == 0 { // as of an object of OpenStreetMap
		p.Types = ownTypes(typeNames.of(f))
	}
	return s.add(p)
}

// ownTypes returns the types that a text names: "Coffee Shop; Bar" gives coffee_shop and bar. What is not a valid type is left out, and the
// types that go with them are added.
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

// maxObject is the greatest number of bytes of a feature or a row.
const maxObject = 16 << 20

var errBudget = errors.New("a feature or a row has more than 16 MiB")

// budget is a reader that fails after maxObject bytes unless it is renewed. Callers renew it for each object that they read as a whole, so
// that an object's memory is bounded.
type budget struct {
	from io.Reader
	left int // bytes
}

func (b *budget) renew() { b.left = maxObject }

func (b *budget) Read(into []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBudget
	}
	n, err := b.from.Read(into[:min(len(into), b.left)])
	b.left -= n
	return n, err
}

// tidy returns a text with blanks in place of control characters, such as tabs, and without blanks around it.
func tidy(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) && utf8.ValidString(text) {
		text = strings.Map(func(c rune) rune {
			if unicode.IsControl(c) {
				return ' '
			}
			return c
		}, text)
	}
	return strings.TrimSpace(text)
}

// noID returns the id of a place that has none. It depends on the name and the position only, so that each import gives the same.
func noID(name string, at places.Point) string {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s\t%.7f\t%.7f", name, at.Lat, at.Lng)
	return "h" + strconv.FormatUint(hash.Sum64(), 36)
}
