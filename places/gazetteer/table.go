package gazetteer

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync/atomic"

	"herd/places"
	"herd/places/index"
)

// compareRecords is the order of the rows of a table: that of an index, then by id.
func compareRecords(a, b record) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) }

// table holds places in 24 bytes each, besides their ids and names. The 205,117 embedded ones take 9 MB. It is immutable except for the
// cached localities.
type table struct {
	index   *index.Index // of the points of the rows
	rows    []row
	text    string // the ids and names of all rows
	regions []region

	localities []atomic.Int32 // by row: 1 + the row of its nearest locality, -1 for none, 0 while unknown
}

// row is one place. Its point is in the index, under the same number.
type row struct {
	text    uint32 // offset of its id in table.text; its name follows
	region  uint16 // index into table.regions
	idLen   uint8  // bytes
	nameLen uint8  // bytes
	kind    uint8  // index into kinds
}

// region is a first-level part of a country.
type region struct {
	country string // ISO 3166-1 alpha-2
	code    string // within the country; empty if unknown
	name    string // empty if unknown
}

// newTable makes a table of records in the order of compareRecords. regionNames has the names of regions by "country.code". The table has
// room for so many rows, and for so many bytes of their ids and names; there may be more of both.
func newTable(regionNames map[string]string, rows, text int, records iter.Seq2[record, error]) (*table, error) {
	t := &table{rows: make([]row, 0, rows)}
	points := make([]index.Point, 0, rows)
	numbers := make(map[region]uint16) // index into t.regions
	var last record
	var texts strings.Builder
	texts.Grow(text)
	for r, err := range records {
		in := region{r.country, r.admin1, regionNames[r.country+"."+r.admin1]}
		number, known := numbers[in]
		switch {
		case err != nil:
		case len(t.rows) > 0 && compareRecords(last, r) >= 0:
			err = fmt.Errorf("%s may not follow %s in the order of a table", r.id, last.id)
		case !known && len(t.regions) > math.MaxUint16:
			err = fmt.Errorf("%s: more than %d regions", r.id, math.MaxUint16+1)
		}
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", len(t.rows)+1, err)
		}
		if !known {
			// cloned, because a substring would keep the whole text in memory
			in.country, in.code = strings.Clone(in.country), strings.Clone(in.code)
			number = uint16(len(t.regions))
			numbers[in] = number
			t.regions = append(t.regions, in)
		}
		t.rows = append(t.rows, row{
			kind: r.kind, region: number, text: uint32(texts.Len()), idLen: uint8(len(r.id)), nameLen: uint8(len(r.name)),
		})
		points = append(points, r.at)
		texts.WriteString(r.id)
		texts.WriteString(r.name)
		last = r
	}
	t.text = texts.String()
	t.localities = make([]atomic.Int32, len(t.rows))
	var err error
	t.index, err = index.New(points, func(i, j int32) int { return cmp.Compare(t.id(i), t.id(j)) })
	return t, err
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

func (t *table) point(i int32) places.Point { return t.index.Point(i).Degrees() }

func (t *table) region(i int32) region { return t.regions[t.rows[i].region] }

// vicinityRadius is how far in km a locality may be from a place whose vicinity it is.
const vicinityRadius = 50

// Index, Place and Attributions implement index.Table.
func (t *table) Index() *index.Index { return t.index }

func (t *table) Attributions() []string { return []string{attributions[0].Text} }

func (t *table) Place(i int32) places.Place {
	at := t.point(i)
	return places.Place{
		Geometry: places.Geometry{Location: at},
		Name:     t.name(i),
		PlaceID:  t.id(i),
		PlusCode: places.PlusCode{GlobalCode: places.GlobalCode(at)},
		Types:    typesOf[t.rows[i].kind],
		Vicinity: t.vicinity(i),
	}
}

// typesOf has the types of each kind, in the order of kinds.
var typesOf = func() (all [][]string) {
	for _, kind := range kinds {
		all = append(all, types(kind))
	}
	return all
}()

// types returns the types of a place of that kind, the kind itself first.
func types(kind string) []string {
	switch kind {
	case "locality", "neighborhood":
		return []string{kind, "political"}
	case "natural_feature", "point_of_interest":
		return []string{kind, "establishment"}
	}
	return []string{kind, "point_of_interest", "establishment"}
}

// vicinity returns the names of row i's locality and region, as in "Beverly Hills, California", as far as they are known.
func (t *table) vicinity(i int32) string {
	near := t.locality(i)
	if near < 0 {
		return t.region(i).name
	}
	if region := t.region(near).name; region != "" {
		return t.name(near) + ", " + region
	}
	return t.name(near)
}

// locality returns the row of the nearest locality within vicinityRadius of row i, which is i itself if it is one, or -1. It is of the same
// region, so that no place is said to be across a border; if the region of i is unknown, of the same country.
//
// A search takes 5 µs; its result is cached. Concurrent first calls may all search, and find the same.
func (t *table) locality(i int32) int32 {
	if kinds[t.rows[i].kind] == "locality" {
		return i
	}
	const unknown, none = 0, -1
	cached := &t.localities[i]
	if near := cached.Load(); near == none {
		return -1
	} else if near != unknown {
		return near - 1
	}
	own := t.region(i)
	near := t.index.Nearest(t.point(i), vicinityRadius, 1, func(j int32) bool {
		same := t.rows[j].region == t.rows[i].region || own.code == "" && t.region(j).country == own.country
		return same && kinds[t.rows[j].kind] == "locality"
	})
	if len(near) == 0 {
		cached.Store(none)
		return -1
	}
	cached.Store(near[0].Row + 1)
	return near[0].Row
}
