package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"herd/places"
)

// feature has the members of a GeoJSON feature that matter here.
type feature struct {
	Type       string                     `json:"type"`
	ID         json.RawMessage            `json:"id"`
	Properties map[string]json.RawMessage `json:"properties"`
	Geometry   geometry                   `json:"geometry"`
}

// geometry is a GeoJSON geometry of any type.
type geometry struct {
	Coordinates box        `json:"coordinates"`
	Geometries  []geometry `json:"geometries"`
}

// box is the box around coordinates, in degrees.
type box struct {
	bounds[float64]
	bad bool // the coordinates are malformed
}

// UnmarshalJSON reads positions in lists of any depth: longitude, latitude and perhaps more (RFC 7946, section 3.1.1).
func (b *box) UnmarshalJSON(text []byte) error {
	numbers, lng := 0, 0.0 // of the current position
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '[':
			numbers = 0
			i++
		case c == ']' || c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '-' || '0' <= c && c <= '9':
			end := i + 1
			for end < len(text) && strings.IndexByte("0123456789+-.eE", text[end]) >= 0 {
				end++
			}
			v, err := strconv.ParseFloat(string(text[i:end]), 64)
			b.bad = b.bad || err != nil
			switch numbers {
			case 0:
				lng = v
			case 1:
				b.add(v, lng, 360)
			}
			numbers++
			i = end
		default:
			b.bad = true
			return nil
		}
	}
	return nil
}

// box returns the box around a geometry and all those in it.
func (g *geometry) box() box {
	b := g.Coordinates
	for i := range g.Geometries {
		in := g.Geometries[i].box()
		b.join(in.bounds)
		b.bad = b.bad || in.bad
	}
	return b
}

// geoJSON reads features as a stream.
type geoJSON struct {
	*json.Decoder
	budget *budget
	sink   *sink
}

// readGeoJSON writes the features of a FeatureCollection, or of a sequence of features or collections (RFC 8142).
func readGeoJSON(r io.Reader, s *sink) error {
	b := &budget{from: separators{r}}
	g := &geoJSON{json.NewDecoder(b), b, s}
	for {
		b.renew()
		t, err := g.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && t != json.Delim('{') {
			err = errors.New("not GeoJSON: want an object")
		}
		if err == nil {
			err = g.object()
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("at byte %d: %w", g.InputOffset(), err)
		}
	}
}

// object reads the rest of a collection or a feature, after its first bracket.
func (g *geoJSON) object() error {
	var f feature
	collection, sound := false, true
	for g.More() {
		g.budget.renew()
		key, err := g.Token()
		if err != nil {
			return err
		}
		member := map[any]any{"type": &f.Type, "id": &f.ID, "properties": &f.Properties, "geometry": &f.Geometry}[key]
		switch {
		case key == "features":
			collection = true
			err = g.features()
		case member != nil:
			var ok bool
			ok, err = g.decode(member)
			sound = sound && ok
		default:
			err = g.skip()
		}
		if err != nil {
			return err
		}
	}
	if _, err := g.Token(); err != nil { // its end
		return err
	}
	switch {
	case collection:
		return nil
	case f.Type != "Feature":
		return fmt.Errorf("not GeoJSON: an object of type %.40q is neither a FeatureCollection nor a Feature", f.Type)
	}
	return g.add(&f, sound)
}

// features reads the list of features of a collection.
func (g *geoJSON) features() error {
	t, err := g.Token()
	if err == nil && t != json.Delim('[') {
		err = errors.New("not GeoJSON: features is no list")
	}
	if err != nil {
		return err
	}
	for g.More() {
		g.budget.renew()
		var f feature
		sound, err := g.decode(&f)
		if err == nil {
			err = g.add(&f, sound && f.Type == "Feature")
		}
		if err != nil {
			return err
		}
	}
	_, err = g.Token() // its end
	return err
}

// decode reads a value. A value of another type is no error, but not sound.
func (g *geoJSON) decode(into any) (sound bool, err error) {
	err = g.Decode(into)
	if _, other := errors.AsType[*json.UnmarshalTypeError](err); other {
		return false, nil
	}
	return err == nil, err
}

// maxDepth is how deep lists and objects that are skipped may be nested.
const maxDepth = 1000

// skip skips a value.
func (g *geoJSON) skip() error {
	for depth := 0; ; {
		g.budget.renew()
		t, err := g.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return fmt.Errorf("more than %d lists and objects in each other", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// add writes a feature. Its position is the middle of its box.
func (g *geoJSON) add(f *feature, sound bool) error {
	g.sink.report(g.sink.in.read.n)
	if !sound {
		g.sink.skip(NoFeature)
		return nil
	}
	known := make(fields, len(f.Properties))
	for name, value := range f.Properties {
		known[strings.ToLower(name)] = text(value)
	}
	b := f.Geometry.box()
	if !b.any || b.bad {
		g.sink.skip(BadPosition)
		return nil
	}
	lat, lng := b.middle(360)
	return g.sink.addFields(known, text(f.ID), places.Point{Lat: lat, Lng: lng})
}

// text returns a JSON string, or a number as it is written, or "".
func text(value json.RawMessage) string {
	if len(value) == 0 {
		return ""
	}
	switch c := value[0]; {
	case c == '"':
		var s string
		if json.Unmarshal(value, &s) != nil {
			return "" // does not happen: it was decoded before
		}
		return s
	case c == '-' || '0' <= c && c <= '9':
		return string(value)
	}
	return ""
}

// separators replaces the record separators of RFC 8142, which cannot be part of JSON, by blanks.
type separators struct{ io.Reader }

func (s separators) Read(into []byte) (int, error) {
	n, err := s.Reader.Read(into)
	for i, c := range into[:n] {
		if c == 0x1e {
			into[i] = ' '
		}
	}
	return n, err
}
