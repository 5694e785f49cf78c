package file

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"herd/places"
	"herd/places/index"
)

// columns are the fields of a row, in their order.
var columns = [...]string{"id", "name", "lat", "lon", "types", "vicinity"}

// Limits of a row, in bytes.
const (
	MaxID   = 255
	MaxText = 1023 // of a name or a vicinity; OpenStreetMap's are 255 characters at most
	maxType = 63
)

// MaxTypes is how many types a place may have.
const MaxTypes = 32

// Origin says where the places of a file come from, and what their licence asks for.
type Origin struct {
	Attribution string // to be shown with every answer, as HTML; empty if nothing has to be
	Licence     string // short name, and where to read it
	Source      string // what the file was made of
}

// remarks are the lines above the header, by their keys.
func (o *Origin) remarks() []struct {
	key   string
	value *string
} {
	return []struct {
		key   string
		value *string
	}{{"attribution", &o.Attribution}, {"licence", &o.Licence}, {"source", &o.Source}}
}

// parseRow reads the fields of a row; its errors name the column at fault.
func parseRow(line string) (places.Place, error) {
	f := strings.Split(line, "\t")
	if len(f) != len(columns) {
		return places.Place{}, fmt.Errorf("%d columns, want %d", len(f), len(columns))
	}
	p := places.Place{PlaceID: f[0], Name: f[1], Types: strings.Split(f[4], ","), Vicinity: f[5]}
	at, latErr, lngErr := index.Point{}, error(nil), error(nil)
	at.Lat, latErr = ParseDegrees(f[2], 90)
	at.Lng, lngErr = ParseDegrees(f[3], 180)
	p.Geometry.Location = at.Degrees()
	for i, err := range [...]error{checkText(f[0], 1, MaxID), checkText(f[1], 1, MaxText), latErr, lngErr, checkTypes(p.Types), checkText(f[5], 0, MaxText)} {
		if err != nil {
			return places.Place{}, fmt.Errorf("column %s: %.100q: %w", columns[i], f[i], err)
		}
	}
	return p, nil
}

// formatRow is the inverse of parseRow.
func formatRow(p places.Place) (string, error) {
	at := p.Geometry.Location
	if !(at.Lat >= -90 && at.Lat <= 90 && at.Lng >= -180 && at.Lng <= 180) {
		return "", fmt.Errorf("%v is not on Earth", at)
	}
	units := index.PointOf(at)
	line := strings.Join([]string{
		p.PlaceID, p.Name, index.FormatDegrees(units.Lat), index.FormatDegrees(units.Lng), strings.Join(p.Types, ","), p.Vicinity,
	}, "\t")
	_, err := parseRow(line)
	return line, err
}

// checkText refuses what could not be a field, or would look like something else.
func checkText(s string, least, most int) error {
	switch {
	case len(s) < least || len(s) > most:
		return fmt.Errorf("want %d to %d bytes", least, most)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("want printable UTF-8")
	case strings.TrimSpace(s) != s:
		return errors.New("want no blanks around it")
	}
	return nil
}

func checkTypes(types []string) error {
	if len(types) > MaxTypes {
		return fmt.Errorf("want at most %d types", MaxTypes)
	}
	for _, t := range types {
		if !IsType(t) {
			return errors.New("want types of small letters, digits and _, with commas between, as in cafe,food")
		}
	}
	return nil
}

// IsType reports whether s could be a place type: 1 to 63 small letters, digits and underscores.
func IsType(s string) bool {
	return s != "" && len(s) <= maxType && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_'
	})
}

// ParseDegrees reads a decimal number, without an exponent, of at most limit on either side of 0 as the nearest unit of an index.Point.
func ParseDegrees(s string, limit int) (int32, error) {
	number := strings.TrimPrefix(s, "-")
	if number == "" || len(number) > 32 || strings.Trim(number, "0123456789.") != "" {
		return 0, errors.New("want decimal degrees")
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errors.New("want decimal degrees")
	}
	if v < -float64(limit) || v > float64(limit) {
		return 0, fmt.Errorf("want at most %d degrees", limit)
	}
	return index.PointOf(places.Point{Lat: v}).Lat, nil
}
