// Package osm turns an object of OpenStreetMap into a place: its name, types and vicinity follow from its tags.
//
// Tags are those of https://wiki.openstreetmap.org/wiki/Map_features; types are those of Google's legacy Nearby Search, tables 1 and 2 of
// https://developers.google.com/maps/documentation/places/web-service/supported_types.
package osm

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"herd/places"
)

// Attribution has to be shown with all data of OpenStreetMap, which is licensed under the Open Database License
// (https://www.openstreetmap.org/copyright).
const Attribution = "© OpenStreetMap contributors"

// Keys are the keys of which an object must have one to be a place, the most specific first.
var Keys = []string{
	"amenity", "tourism", "leisure", "shop", "historic", "aeroway", "railway", "public_transport", "natural", "place",
}

// longest is the greatest length of a value in bytes: 255 characters (https://wiki.openstreetmap.org/wiki/Any_tags_you_like).
const longest = 255 * 4

// Place returns the place that an object of that kind (node, way or relation), id and tags is, at that point. It returns false if the object
// has no name or one that is longer than OpenStreetMap allows, if its tags are not those of a place, or if the point is not on Earth.
func Place(kind string, id int64, at places.Point, tags map[string]string) (places.Place, bool) {
	name := strings.TrimSpace(tags["name"])
	if name == "" || len(name) > longest || !at.OnEarth() {
		return places.Place{}, false
	}
	types := Types(tags)
	if types == nil {
		return places.Place{}, false
	}
	return places.Place{
		Geometry: places.Geometry{Location: at},
		Name:     name,
		PlaceID:  kind + "/" + strconv.FormatInt(id, 10),
		PlusCode: places.PlusCode{GlobalCode: places.GlobalCode(at)},
		Types:    types,
		Vicinity: Vicinity(tags),
	}, true
}

// Types returns the types of an object with these tags, the most specific first, or nil if it is not a place: a railway track has a name,
// but is none.
//
// Each key adds its types, in the order of Keys, and so does each of its values, which are separated by semicolons. A value that is not in
// the table has the types in others.
func Types(tags map[string]string) []string {
	var types []string
	var interest, political, natural bool
	for _, key := range Keys {
		if len(tags[key]) > longest {
			continue
		}
		for value := range strings.SplitSeq(tags[key], ";") {
			value = strings.TrimSpace(value)
			if value == "" || slices.Contains(nothing, value) {
				continue
			}
			of, known := table[tag{key, value}]
			if !known {
				if of, known = others[key]; !known {
					continue
				}
			}
			switch {
			case key == "place" && value != "square":
				political = political || !slices.Contains(of, "natural_feature")
				natural = natural || slices.Contains(of, "natural_feature")
			case key == "natural":
				natural = true
			default:
				interest = true
			}
			if value == "place_of_worship" {
				if house, ok := worship[tags["religion"]]; ok {
					types = add(types, house)
				}
			}
			types = add(types, of...)
		}
	}
	if interest {
		types = add(types, "point_of_interest")
	}
	if political {
		types = add(types, "political")
	}
	if interest || natural {
		types = add(types, "establishment")
	}
	return types
}

// add appends those of more that are not in types yet.
func add(types []string, more ...string) []string {
	for _, t := range more {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

// Vicinity returns the street, number and city in these tags, as in "Avinguda Meritxell 11, Andorra la Vella", as far as they are known
// (https://wiki.openstreetmap.org/wiki/Key:addr:*). If they are longer than OpenStreetMap allows, it returns "".
func Vicinity(tags map[string]string) string {
	// where streets have no names, houses are numbered by place
	street := cmp.Or(strings.TrimSpace(tags["addr:street"]), strings.TrimSpace(tags["addr:place"]))
	if number := strings.TrimSpace(tags["addr:housenumber"]); number != "" && street != "" {
		street += " " + number
	}
	city := strings.TrimSpace(tags["addr:city"])
	all := street + ", " + city
	switch {
	case len(all) > 3*longest:
		return ""
	case street == "" || city == "":
		return street + city
	}
	return all
}
