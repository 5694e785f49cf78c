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
		Types:    types(kinds[t.rows[i].kind]),
		Vicinity: t.vicinity(i),
	}
}

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

// vicinity returns the name of the locality nearest to row i and that of its
// region, as in "Beverly Hills, California". A locality names itself. Only localities of the same region
// count, so that no place is said to be across a border; if the region of the
// place is not known, those of the same country. Without such a locality within
// vicinityRadius the region stands alone; what has no name is left out.
func (t *table) vicinity(i int32) string {
	own := t.region(i)
	if kinds[t.rows[i].kind] == "locality" {
		return label(t.name(i), own.name)
	}
	near := t.index.Nearest(t.point(i), vicinityRadius, 1, func(j int32) bool {
		same := t.rows[j].region == t.rows[i].region || own.code == "" && t.region(j).country == own.country
		return same && kinds[t.rows[j].kind] == "locality"
	})
	if len(near) == 0 {
		return own.name
	}
	return label(t.name(near[0].Row), t.region(near[0].Row).name)
}

func label(locality, region string) string {
	if region == "" {
		return locality
	}
	return locality + ", " + region
}
