package gazetteer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"herd/places/index"
)

// columns are the fields of a row of text, in their order.
var columns = [...]string{"#id", "name", "lat", "lon", "kind", "country", "rank", "source", "admin1"}

// kinds is the vocabulary of the column "kind": place types of Google's legacy
// Places API (https://developers.google.com/maps/documentation/places/web-service/supported_types).
var kinds = []string{
	"airport", "amusement_park", "aquarium", "book_store", "casino", "cemetery", "church", "city_hall", "hospital",
	"library", "locality", "lodging", "mosque", "movie_theater", "museum", "natural_feature", "neighborhood", "park",
	"place_of_worship", "point_of_interest", "shopping_mall", "stadium", "tourist_attraction", "train_station",
	"transit_station", "university", "zoo",
}

// maxText is the greatest length in bytes of an id or a name.
const maxText = 255

// record is one row of the table, read from its text.
type record struct {
	id      string // first letter of the source, then the source's own id
	name    string
	at      index.Point
	kind    uint8  // index into kinds
	country string // ISO 3166-1 alpha-2
	rank    uint32 // population, or what compares with it
	source  string // as in Attributions
	admin1  string // GeoNames' code of the first-level region within the country, or empty
}

// parseRecord reads the fields of a row. It accepts exactly one spelling of each
// record, the one that fields writes; its errors name the column at fault.
func parseRecord(f [len(columns)]string) (record, error) {
	r := record{id: f[0], name: f[1], country: f[5], source: f[7], admin1: f[8]}
	var errs [len(columns)]error
	errs[1] = checkName(r.name)
	r.at.Lat, errs[2] = parseDegrees(f[2], 90)
	r.at.Lng, errs[3] = parseDegrees(f[3], 180)
	kind, known := slices.BinarySearch(kinds, f[4])
	if !known {
		errs[4] = errors.New("unknown")
	}
	r.kind = uint8(kind)
	if len(r.country) != 2 || !isCode(r.country) {
		errs[5] = errors.New("want two capital letters")
	}
	rank, err := strconv.ParseUint(f[6], 10, 32)
	if err != nil || len(f[6]) > 1 && f[6][0] == '0' {
		errs[6] = errors.New("want a whole number from 0 to 4294967295")
	}
	r.rank = uint32(rank)
	if !slices.ContainsFunc(attributions, func(a Attribution) bool { return a.Source == r.source }) {
		errs[7] = errors.New("no attribution known for it")
	} else if len(r.id) < 2 || len(r.id) > maxText || r.id[0] != r.source[0] || !isID(r.id) {
		errs[0] = fmt.Errorf("want %q and the id within the source", r.source[:1])
	}
	if !isCode(r.admin1) {
		errs[8] = errors.New("want capital letters and digits")
	}
	for i, err := range errs {
		if err != nil {
			return record{}, fmt.Errorf("column %s: %q: %w", columns[i], f[i], err)
		}
	}
	return r, nil
}

// fields returns the text of r, column by column.
func (r record) fields() [len(columns)]string {
	return [...]string{
		r.id, r.name, index.FormatDegrees(r.at.Lat), index.FormatDegrees(r.at.Lng), kinds[r.kind], r.country, strconv.FormatUint(uint64(r.rank), 10), r.source, r.admin1,
	}
}

func checkName(name string) error {
	switch {
	case name == "" || len(name) > maxText:
		return fmt.Errorf("want 1 to %d bytes", maxText)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("want printable UTF-8")
	case strings.TrimSpace(name) != name:
		return errors.New("want no blanks around it")
	}
	return nil
}

// isCode reports whether s holds only ASCII capital letters and digits.
func isCode(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '0' || c > '9') })
}

// isID reports whether s holds only ASCII letters, digits, '-' and '_'.
func isID(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
