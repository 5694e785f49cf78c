package gazetteer

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"herd/places"
)

// The rows lie in bands of latitude, 0.25° (27.8 km) high, from south to north,
// and within a band by longitude. What a circle covers of a band is then one run
// of rows between two longitudes, found by binary search: the search tree is the
// order of the rows itself. Cells of longitude would add memory and sharpen nothing.
const (
	bandHeight = perDegree / 4
	bandCount  = 180 * perDegree / bandHeight
)

// bandOf returns the band, 0 to bandCount-1, of a latitude in units. The north
// pole belongs to the last one.
func bandOf(lat int32) int {
	return min((int(lat)+90*perDegree)/bandHeight, bandCount-1)
}

// compareRecords is the order of a table: band, longitude, latitude, id.
func compareRecords(a, b record) int {
	return cmp.Or(
		cmp.Compare(bandOf(a.lat), bandOf(b.lat)), cmp.Compare(a.lng, b.lng), cmp.Compare(a.lat, b.lat), cmp.Compare(a.id, b.id),
	)
}

// table holds places in 20 bytes each, their ids and names apart. The 205,117
// embedded ones take 9 MB. It is immutable.
type table struct {
	rows    []row
	bands   [bandCount + 1]int32 // rows[bands[b]:bands[b+1]] lie in band b
	text    string               // the ids and names of all rows
	regions []region
}

// row is one place.
type row struct {
	lat, lng int32  // units of 1e-7 degrees
	text     uint32 // where its id begins in table.text; its name follows
	region   uint16 // index into table.regions
	idLen    uint8  // bytes
	nameLen  uint8  // bytes
	kind     uint8  // index into kinds
}

// region is a first-level part of a country, or what is known of it.
type region struct {
	country string // ISO 3166-1 alpha-2
	code    string // within the country; empty if unknown
	name    string // empty if unknown
}

// builder makes a table of records that come in its order.
type builder struct {
	table  table
	text   strings.Builder
	last   record
	names  map[string]string // of regions, by "country.code"
	number map[region]uint16 // of each member of table.regions
}

// newBuilder returns a builder with room for so many rows, whose ids and names
// take so many bytes of text. There may be more of both.
func newBuilder(regionNames map[string]string, rows, text int) *builder {
	b := &builder{names: regionNames, number: make(map[region]uint16)}
	b.table.rows = make([]row, 0, rows)
	b.text.Grow(text)
	return b
}

// add appends a record, which has to follow the one before in the order of a table.
func (b *builder) add(r record) error {
	if len(b.table.rows) > 0 && compareRecords(b.last, r) >= 0 {
		return fmt.Errorf("%s may not follow %s in the order of a table", r.id, b.last.id)
	}
	b.last = r
	in := region{r.country, r.admin1, b.names[r.country+"."+r.admin1]}
	number, known := b.number[in]
	if !known {
		if len(b.table.regions) > math.MaxUint16 {
			return fmt.Errorf("%s: more than %d regions", r.id, math.MaxUint16+1)
		}
		// Copies: a part of the text that is read would keep all of it in memory.
		in.country, in.code = strings.Clone(in.country), strings.Clone(in.code)
		number = uint16(len(b.table.regions))
		b.number[in] = number
		b.table.regions = append(b.table.regions, in)
	}
	b.table.rows = append(b.table.rows, row{
		lat: r.lat, lng: r.lng, kind: r.kind, region: number,
		text: uint32(b.text.Len()), idLen: uint8(len(r.id)), nameLen: uint8(len(r.name)),
	})
	b.text.WriteString(r.id)
	b.text.WriteString(r.name)
	b.table.bands[bandOf(r.lat)+1] = int32(len(b.table.rows))
	return nil
}

// build returns the table and ends the use of the builder.
func (b *builder) build() *table {
	t := b.table // a copy, which does not keep the builder in memory
	t.text = b.text.String()
	for i := range bandCount {
		t.bands[i+1] = max(t.bands[i+1], t.bands[i]) // a band without rows ends where it begins
	}
	return &t
}

func (t *table) id(i int32) string {
	r := t.rows[i]
	return t.text[r.text : r.text+uint32(r.idLen)]
}

func (t *table) name(i int32) string {
	r := t.rows[i]
	start := r.text + uint32(r.idLen)
	return t.text[start : start+uint32(r.nameLen)]
}

func (t *table) point(i int32) places.Point { return point(t.rows[i].lat, t.rows[i].lng) }

func (t *table) region(i int32) region { return t.regions[t.rows[i].region] }
