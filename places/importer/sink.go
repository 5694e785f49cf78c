package importer

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"herd/places"
	"herd/places/file"
)

// Reason says why an object of the input is not in the file.
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

// why tells in words what was skipped.
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

// Reasons returns the reasons for which something was skipped, the most frequent first.
func (r *Result) Reasons() []Reason {
	return slices.SortedFunc(maps.Keys(r.Skipped), func(a, b Reason) int {
		return cmp.Or(cmp.Compare(r.Skipped[b], r.Skipped[a]), cmp.Compare(a, b))
	})
}

// sink takes places, and counts what was not taken.
type sink struct {
	out    *file.Writer
	in     *input
	tell   func(Progress)
	result Result

	// ids has the hashes of the ids that were taken, unless the input is in their order: at most file.MaxPlaces. Of ten million
	// ids two have the same hash with a probability of 1 : 370,000.
	ids  map[uint64]struct{}
	seed maphash.Seed
}

func newSink(out *file.Writer, in *input, c Config) *sink {
	s := &sink{out: out, in: in, tell: c.Progress, seed: maphash.MakeSeed()}
	s.result = Result{Format: in.format, Origin: c.Origin, Skipped: make(map[Reason]int)}
	if in.format != OSM {
		s.ids = make(map[uint64]struct{})
	}
	return s
}

func (s *sink) skip(r Reason) { s.result.Skipped[r]++ }

// progress tells that the input was read so far.
func (s *sink) progress(read int64) {
	if s.tell != nil {
		s.tell(Progress{Read: read, Size: s.in.size, Places: s.result.Places, Passes: s.result.Passes})
	}
}

// put takes a place, unless there is a reason not to.
func (s *sink) put(p places.Place) error {
	at := p.Geometry.Location
	p.Name, p.Vicinity = tidy(p.Name), tidy(p.Vicinity)
	switch {
	case !(at.Lat >= -90 && at.Lat <= 90 && at.Lng >= -180 && at.Lng <= 180):
		s.skip(BadPosition)
		return nil
	case p.Name == "":
		s.skip(NoName)
		return nil
	case len(p.Name) > file.MaxText || !utf8.ValidString(p.Name):
		s.skip(BadName)
		return nil
	case p.PlaceID == "" || len(p.PlaceID) > file.MaxID || tidy(p.PlaceID) != p.PlaceID || !utf8.ValidString(p.PlaceID):
		s.skip(BadID)
		return nil
	}
	if len(p.Vicinity) > file.MaxText || !utf8.ValidString(p.Vicinity) {
		p.Vicinity = ""
	}
	if s.ids != nil {
		hash := maphash.String(s.seed, p.PlaceID)
		if _, twice := s.ids[hash]; twice {
			s.skip(Twice)
			return nil
		}
		s.ids[hash] = struct{}{}
	}
	if err := s.out.Write(p); err != nil {
		return err
	}
	s.result.Places++
	return nil
}

// tidy returns a text with a blank for each control character, a tab among them, and none around it.
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

// noID returns the id of a place that has none: the same whenever and from whatever file it is imported.
func noID(name string, at places.Point) string {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%s\t%.7f\t%.7f", name, at.Lat, at.Lng)
	return "h" + strconv.FormatUint(hash.Sum64(), 36)
}
