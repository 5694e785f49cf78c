package gazetteer

import "herd/places"

// vicinityRadius is how far in km a locality may be to name a place's vicinity.
const vicinityRadius = 50

// place returns row i as a result.
func (t *table) place(i int32) places.Place {
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

// typesOf holds the types of each member of kinds.
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

// vicinity returns the name of row i's locality and that of its region, as in "Beverly Hills, California". What has no name
// is left out.
func (t *table) vicinity(i int32) string {
	near := t.locality(i)
	if near < 0 {
		return t.region(i).name
	}
	return label(t.name(near), t.region(near).name)
}

// locality returns the row of the locality nearest to row i, which is its own if it is one, or -1. Only localities of the same
// region count, so that no place is said to be across a border; if the region of the place is not known, those of the
// same country. One that is not within vicinityRadius does not count either.
//
// It is looked for once, 5 µs, and then known: the first to ask for a place may be several, who all find the same.
func (t *table) locality(i int32) int32 {
	if kinds[t.rows[i].kind] == "locality" {
		return i
	}
	const unknown, none = 0, -1 // others are one more than the row
	known := &t.localities[i]
	if near := known.Load(); near == none {
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
		known.Store(none)
		return -1
	}
	known.Store(near[0].Row + 1)
	return near[0].Row
}

func label(locality, region string) string {
	if region == "" {
		return locality
	}
	return locality + ", " + region
}
