package osm

import (
	"math"
	"slices"
	"strings"
	"testing"

	"herd/places"
)

func TestTypes(t *testing.T) {
	type tags = map[string]string
	for _, c := range []struct {
		tags tags
		want []string
	}{
		{nil, nil},
		{tags{"name": "Nothing but a name"}, nil},
		{tags{"building": "yes"}, nil},
		{tags{"amenity": "restaurant", "cuisine": "pizza"}, []string{"restaurant", "food", "point_of_interest", "establishment"}},
		{tags{"amenity": "pharmacy"}, []string{"pharmacy", "store", "health", "point_of_interest", "establishment"}},
		{tags{"amenity": "drinking_water"}, []string{"point_of_interest", "establishment"}},
		{tags{"amenity": "place_of_worship"}, []string{"place_of_worship", "point_of_interest", "establishment"}},
		{tags{"amenity": "place_of_worship", "religion": "christian"}, []string{"church", "place_of_worship", "point_of_interest", "establishment"}},
		{tags{"amenity": "place_of_worship", "religion": "muslim"}, []string{"mosque", "place_of_worship", "point_of_interest", "establishment"}},
		{tags{"amenity": "place_of_worship", "religion": "buddhist"}, []string{"place_of_worship", "point_of_interest", "establishment"}},
		{tags{"tourism": "hotel"}, []string{"lodging", "point_of_interest", "establishment"}},
		{tags{"tourism": "information"}, []string{"point_of_interest", "establishment"}},
		{tags{"leisure": "park"}, []string{"park", "point_of_interest", "establishment"}},
		{tags{"shop": "supermarket"}, []string{"supermarket", "food", "store", "point_of_interest", "establishment"}},
		{tags{"shop": "umbrellas"}, []string{"store", "point_of_interest", "establishment"}},
		{tags{"shop": "mall"}, []string{"shopping_mall", "point_of_interest", "establishment"}},
		{tags{"historic": "castle", "tourism": "museum"}, []string{"museum", "tourist_attraction", "point_of_interest", "establishment"}},
		{tags{"historic": "boundary_stone"}, []string{"point_of_interest", "establishment"}},
		{tags{"aeroway": "aerodrome"}, []string{"airport", "point_of_interest", "establishment"}},
		{tags{"railway": "station", "public_transport": "station"}, []string{"train_station", "transit_station", "point_of_interest", "establishment"}},
		{tags{"natural": "peak"}, []string{"natural_feature", "establishment"}},
		{tags{"natural": "beach", "leisure": "park"}, []string{"park", "natural_feature", "point_of_interest", "establishment"}},
		{tags{"place": "city"}, []string{"locality", "political"}},
		{tags{"place": "suburb"}, []string{"neighborhood", "political"}},
		{tags{"place": "island"}, []string{"natural_feature", "establishment"}},
		{tags{"place": "square"}, []string{"town_square", "point_of_interest", "establishment"}},
		{tags{"place": "village", "tourism": "attraction"}, []string{"tourist_attraction", "locality", "point_of_interest", "political", "establishment"}},
		// several values under a key
		{tags{"shop": "bakery; books"}, []string{"bakery", "food", "store", "book_store", "point_of_interest", "establishment"}},
		{tags{"amenity": ";cafe;;bar;"}, []string{"cafe", "food", "bar", "point_of_interest", "establishment"}},
		// named, but not places
		{tags{"railway": "rail"}, nil},
		{tags{"aeroway": "taxiway"}, nil},
		{tags{"public_transport": "stop_position"}, nil},
		{tags{"place": "plot"}, nil},
		{tags{"shop": "vacant"}, nil},
		{tags{"shop": "no", "amenity": "bar"}, []string{"bar", "point_of_interest", "establishment"}},
		{tags{"amenity": " ; "}, nil},
		{tags{"amenity": strings.Repeat("bar;", 255)}, []string{"bar", "point_of_interest", "establishment"}},
		{tags{"amenity": strings.Repeat("bar;", 256)}, nil}, // longer than any value in OpenStreetMap
	} {
		if got := Types(c.tags); !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v: %q, want %q", c.tags, got, c.want)
		}
	}
}

// Every entry of the table is used, and its types are Google's.
func TestTable(t *testing.T) {
	known := make(map[string]bool)
	for _, types := range vocabulary {
		known[types] = true
	}
	check := func(of string, types []string) {
		for _, name := range types {
			if !known[name] {
				t.Errorf("%s: %s is no place type", of, name)
			}
		}
	}
	values := 0
	for _, m := range meanings {
		values += len(strings.Fields(m.values))
	}
	if values != len(table) {
		t.Errorf("%d values, %d of them different", values, len(table))
	}
	for k, types := range table {
		if !slices.Contains(Keys, k.key) || len(types) == 0 {
			t.Errorf("%v: no such key, or no types", k)
		}
		check(k.key+"="+k.value, types)
		if got := Types(map[string]string{k.key: k.value}); !slices.Equal(got[:len(types)], types) {
			t.Errorf("%v: %v, want %v first", k, got, types)
		}
	}
	for key, types := range others {
		if !slices.Contains(Keys, key) {
			t.Errorf("%s: no such key", key)
		}
		check(key, types)
	}
	for religion, house := range worship {
		check(religion, []string{house})
	}
}

// vocabulary is tables 1 and 2 of https://developers.google.com/maps/documentation/places/web-service/supported_types, as far as the table needs them.
var vocabulary = []string{
	"airport", "amusement_park", "aquarium", "art_gallery", "atm", "bakery", "bank", "bar", "beauty_salon", "bicycle_store", "book_store",
	"bowling_alley", "bus_station", "cafe", "campground", "car_dealer", "car_rental", "car_repair", "car_wash", "casino", "cemetery", "church",
	"city_hall", "clothing_store", "convenience_store", "courthouse", "dentist", "department_store", "doctor", "drugstore", "electronics_store",
	"embassy", "fire_station", "florist", "funeral_home", "furniture_store", "gas_station", "gym", "hair_care", "hardware_store", "hindu_temple",
	"home_goods_store", "hospital", "jewelry_store", "laundry", "library", "light_rail_station", "liquor_store", "local_government_office",
	"locksmith", "lodging", "meal_takeaway", "mosque", "movie_rental", "movie_theater", "museum", "night_club", "park", "parking", "pet_store",
	"pharmacy", "police", "post_office", "real_estate_agency", "restaurant", "rv_park", "school", "shoe_store", "shopping_mall", "spa", "stadium",
	"storage", "store", "subway_station", "supermarket", "synagogue", "taxi_stand", "tourist_attraction", "train_station", "transit_station",
	"travel_agency", "university", "veterinary_care", "zoo",

	"administrative_area_level_1", "administrative_area_level_2", "administrative_area_level_3", "country", "finance", "food", "health",
	"landmark", "locality", "natural_feature", "neighborhood", "place_of_worship", "sublocality", "town_square",
}

func TestVicinity(t *testing.T) {
	for _, c := range []struct{ street, place, number, city, want string }{
		{},
		{street: "Avinguda Meritxell", number: "11", city: "Andorra la Vella", want: "Avinguda Meritxell 11, Andorra la Vella"},
		{street: "Avinguda Meritxell", city: "Andorra la Vella", want: "Avinguda Meritxell, Andorra la Vella"},
		{street: "Avinguda Meritxell", want: "Avinguda Meritxell"},
		{street: " Avinguda Meritxell ", number: " 11 ", want: "Avinguda Meritxell 11"},
		{city: "Andorra la Vella", want: "Andorra la Vella"},
		{number: "11", city: "Andorra la Vella", want: "Andorra la Vella"},
		{place: "Les Bons", number: "3", city: "Encamp", want: "Les Bons 3, Encamp"},
		{street: strings.Repeat("a", 3*longest), city: "Encamp"},
		{street: "千代田", number: "1-1", city: "東京", want: "千代田 1-1, 東京"},
	} {
		tags := map[string]string{"addr:street": c.street, "addr:place": c.place, "addr:housenumber": c.number, "addr:city": c.city}
		if got := Vicinity(tags); got != c.want {
			t.Errorf("%v: %q, want %q", tags, got, c.want)
		}
	}
}

func TestPlace(t *testing.T) {
	at := places.Point{Lat: 42.5080426, Lng: 1.5243707}
	bar := func(name string) map[string]string { return map[string]string{"amenity": "bar", "name": name} }

	got, ok := Place("node", 1578367368, at, map[string]string{"name": "Pyrénées", "shop": "supermarket", "addr:city": "Andorra la Vella"})
	if !ok || got.Name != "Pyrénées" || got.PlaceID != "node/1578367368" || got.Geometry.Location != at ||
		got.PlusCode.GlobalCode != "8FJ3GG5F+6P" || got.Vicinity != "Andorra la Vella" ||
		!slices.Equal(got.Types, []string{"supermarket", "food", "store", "point_of_interest", "establishment"}) {
		t.Errorf("%+v, %t", got, ok)
	}
	for _, name := range []string{"Пушкинъ", "東京タワー", "مسجد", "בית", "ร้านอาหาร", "🏔", "e\u0301"} {
		if got, ok := Place("way", 1, at, bar(name)); !ok || got.Name != name || got.PlaceID != "way/1" {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
	for what, c := range map[string]struct {
		at   places.Point
		tags map[string]string
	}{
		"no name":         {at, bar("")},
		"a blank name":    {at, bar(" \u00a0")},
		"a name of 4 MB":  {at, bar(strings.Repeat("a", 4<<20))},
		"no place":        {at, map[string]string{"name": "Main Line", "railway": "rail"}},
		"beyond the pole": {places.Point{Lat: 90.1}, bar("Bar")},
		"beyond 180":      {places.Point{Lng: -180.1}, bar("Bar")},
		"no number":       {places.Point{Lat: math.NaN()}, bar("Bar")},
	} {
		if got, ok := Place("node", 1, c.at, c.tags); ok {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
