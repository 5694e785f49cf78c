package gazetteer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"herd/places"
	"herd/places/index"
)

// columns are the names of the fields of a row of text, in their order.
var columns = [...]string{"#id", "name", "lat", "lon", "kind", "country", "rank", "source", "admin1"}

// kinds are the values of the column "kind", sorted: place types of Google's legacy Places API
// (https://developers.google.com/maps/documentation/places/web-service/supported_types).
var kinds = []string{
	"airport", "amusement_park", "aquarium", "book_store", "casino", "cemetery", "church", "city_hall", "hospital",
	"library", "locality", "lodging", "mosque", "movie_theater", "museum", "natural_feature", "neighborhood", "park",
	"place_of_worship", "point_of_interest", "shopping_mall", "stadium", "tourist_attraction", "train_station",
	"transit_station", "university", "zoo",
}

// maxText is the greatest length in bytes of an id or a name.
const maxText = 255

// record is one row of text.
type record struct {
	id      string // first letter of the source, then the source's own id
	name    string
	at      index.Point
	kind    uint8  // index into kinds
	country string // ISO 3166-1 alpha-2
	rank    uint32 // population, or a comparable number
	source  string // as in Attributions
	admin1  string // GeoNames' code of the first-level region within the country, or empty
}

// parseRecord parses the fields of a row. It accepts one spelling of each record, the one that fields returns. Its errors name the column.
func parseRecord(f [len(columns)]string) (record, error) {
	r := record{id: f[0], name: f[1], country: f[5], source: f[7], admin1: f[8]}
	var errs [len(columns)]error
	errs[1] = places.CheckText(r.name, 1, maxText)
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

// parseDegrees parses degrees as units of an index.Point. It accepts one spelling, that of index.FormatDegrees.
func parseDegrees(s string, limit float64) (int32, error) {
	v, err := places.ParseDegrees(s, limit)
	if err != nil {
		return 0, err
	}
	units := index.PointOf(places.Point{Lat: v}).Lat
	var buffer [16]byte // not FormatDegrees, whose result would be allocated for each row
	if string(strconv.AppendFloat(buffer[:0], float64(units)/index.PerDegree, 'f', -1, 64)) != s {
		return 0, errors.New("want decimal degrees in their shortest spelling")
	}
	return units, nil
}

// regionsHeader is the first line of the list of regions.
const regionsHeader = "#code\tname"

// parseRegions parses lines of code and name below regionsHeader, and returns the names of first-level regions by "country.code", as in
// "US.CA". Its errors name the line.
func parseRegions(text string) (map[string]string, error) {
	rows, ok := strings.CutPrefix(text, regionsHeader+"\n")
	if !ok {
		return nil, fmt.Errorf("line 1: want the header %q", regionsHeader)
	}
	names := make(map[string]string)
	line := 1
	for row := range strings.Lines(rows) {
		line++
		row = strings.TrimSuffix(row, "\n")
		code, name, _ := strings.Cut(row, "\t")
		country, region, _ := strings.Cut(code, ".")
		if len(country) != 2 || region == "" || !isCode(country) || !isCode(region) {
			return nil, fmt.Errorf("line %d: code %q: want COUNTRY.REGION", line, code)
		}
		if err := places.CheckText(name, 1, maxText); err != nil {
			return nil, fmt.Errorf("line %d: name %q: %w", line, name, err)
		}
		if _, twice := names[code]; twice {
			return nil, fmt.Errorf("line %d: code %q: there already", line, code)
		}
		names[code] = name
	}
	return names, nil
}

// formatRegions is the inverse of parseRegions, sorted by code.
func formatRegions(names map[string]string) string {
	var b strings.Builder
	b.WriteString(regionsHeader + "\n")
	for _, code := range slices.Sorted(maps.Keys(names)) {
		b.WriteString(code + "\t" + names[code] + "\n")
	}
	return b.String()
}
