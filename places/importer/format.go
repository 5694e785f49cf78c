package importer

import (
	"bytes"
	"strings"
)

// Format is a form in which places are written down.
type Format string

// The formats.
const (
	OSM     Format = "osm"     // an extract of OpenStreetMap in PBF
	GeoJSON Format = "geojson" // RFC 7946, or RFC 8142; a FeatureCollection, or features one after the other
	CSV     Format = "csv"     // a table with a header; columns end with tabs, commas (RFC 4180) or semicolons
)

// Formats are all of them.
var Formats = []Format{OSM, GeoJSON, CSV}

// headSize is how many bytes tell the format of a file whose name does not.
const headSize = 512

// detect tells the format of a file of that name that begins with head, or "".
func detect(name string, head []byte) Format {
	name = strings.ToLower(name)
	for _, known := range []struct {
		suffix string
		format Format
	}{
		{".pbf", OSM},
		{".geojson", GeoJSON},
		{".json", GeoJSON},
		{".geojsonl", GeoJSON},
		{".geojsons", GeoJSON},
		{".geojsonseq", GeoJSON},
		{".ndjson", GeoJSON},
		{".csv", CSV},
		{".tsv", CSV},
		{".tab", CSV},
	} {
		if strings.HasSuffix(name, known.suffix) {
			return known.format
		}
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, utf8BOM), " \t\r\n\x1e")
	line, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case len(head) > 4 && bytes.Contains(head[4:min(len(head), 32)], []byte("OSMHeader")):
		return OSM
	case bytes.HasPrefix(text, []byte("{")):
		return GeoJSON
	case bytes.ContainsAny(line, "\t,;") && !bytes.Contains(head, []byte{0}):
		return CSV
	}
	return ""
}

var utf8BOM = []byte{0xef, 0xbb, 0xbf}
