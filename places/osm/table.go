package osm

import "strings"

// tag is a key and its value.
type tag struct{ key, value string }

// nothing are the values which say that there is no such place, or that it does not exist yet or any more.
var nothing = []string{"no", "none", "vacant", "disused", "abandoned", "proposed", "construction"}

// worship are the types that a place_of_worship also has, by religion (https://wiki.openstreetmap.org/wiki/Key:religion).
var worship = map[string]string{"christian": "church", "hindu": "hindu_temple", "jewish": "synagogue", "muslim": "mosque"}

// others are the types of values that are not in the table, for the keys of which every value is a place. With another key, such an object
// is not a place: a railway's track, an airport's runway.
var others = map[string][]string{
	"amenity":  {},
	"tourism":  {},
	"leisure":  {},
	"shop":     {"store"},
	"historic": {},
	"natural":  {"natural_feature"},
}

// table has the types of tags, the most specific first. Types adds point_of_interest, political and establishment.
var table = func() map[tag][]string {
	types := make(map[tag][]string)
	for _, m := range meanings {
		for value := range strings.FieldsSeq(m.values) {
			types[tag{m.key, value}] = strings.Fields(m.types)
		}
	}
	return types
}()

// meanings are what the table is made of, as https://wiki.openstreetmap.org/wiki/Map_features explains the tags: values of a key, and the
// types that objects with any of them have. Values and types are separated by blanks.
var meanings = []struct{ key, values, types string }{
	{"amenity", "arts_centre", "art_gallery"},
	{"amenity", "atm", "atm finance"},
	{"amenity", "bank", "bank finance"},
	{"amenity", "bar pub", "bar"},
	{"amenity", "biergarten", "bar restaurant food"},
	{"amenity", "bureau_de_change", "finance"},
	{"amenity", "bus_station", "bus_station transit_station"},
	{"amenity", "cafe", "cafe food"},
	{"amenity", "car_rental car_sharing", "car_rental"},
	{"amenity", "car_wash", "car_wash"},
	{"amenity", "casino", "casino"},
	{"amenity", "childcare driving_school kindergarten language_school music_school prep_school school", "school"},
	{"amenity", "cinema", "movie_theater"},
	{"amenity", "clinic doctors", "doctor health"},
	{"amenity", "college", "university school"},
	{"amenity", "courthouse", "courthouse"},
	{"amenity", "crematorium funeral_hall", "funeral_home"},
	{"amenity", "dentist", "dentist health"},
	{"amenity", "embassy", "embassy"},
	{"amenity", "fast_food", "meal_takeaway restaurant food"},
	{"amenity", "ferry_terminal", "transit_station"},
	{"amenity", "fire_station", "fire_station"},
	{"amenity", "food_court restaurant", "restaurant food"},
	{"amenity", "fuel", "gas_station"},
	{"amenity", "grave_yard", "cemetery"},
	{"amenity", "gym", "gym health"},
	{"amenity", "hospital", "hospital health"},
	{"amenity", "ice_cream", "food store"},
	{"amenity", "internet_cafe", "cafe"},
	{"amenity", "library", "library"},
	{"amenity", "marketplace", "store food"},
	{"amenity", "monastery place_of_worship", "place_of_worship"},
	{"amenity", "nightclub", "night_club bar"},
	{"amenity", "nursing_home", "health"},
	{"amenity", "parking", "parking"},
	{"amenity", "pharmacy", "pharmacy store health"},
	{"amenity", "planetarium", "museum"},
	{"amenity", "police", "police"},
	{"amenity", "post_office", "post_office"},
	{"amenity", "public_bath", "spa"},
	{"amenity", "public_building", "local_government_office"},
	{"amenity", "stripclub", "night_club"},
	{"amenity", "taxi", "taxi_stand"},
	{"amenity", "townhall", "city_hall local_government_office"},
	{"amenity", "university", "university"},
	{"amenity", "vehicle_inspection", "car_repair"},
	{"amenity", "veterinary", "veterinary_care"},
	{"tourism", "alpine_hut apartment chalet guest_house hostel hotel motel wilderness_hut", "lodging"},
	{"tourism", "aquarium", "aquarium"},
	{"tourism", "artwork attraction viewpoint", "tourist_attraction"},
	{"tourism", "camp_site", "campground lodging"},
	{"tourism", "caravan_site", "rv_park campground lodging"},
	{"tourism", "gallery", "art_gallery"},
	{"tourism", "museum", "museum"},
	{"tourism", "theme_park", "amusement_park tourist_attraction"},
	{"tourism", "zoo", "zoo"},
	{"leisure", "amusement_arcade water_park", "amusement_park"},
	{"leisure", "bowling_alley", "bowling_alley"},
	{"leisure", "fitness_centre", "gym health"},
	{"leisure", "garden nature_reserve park playground", "park"},
	{"leisure", "spa", "spa"},
	{"leisure", "sports_centre sports_hall", "gym"},
	{"leisure", "stadium", "stadium"},
	{"shop", "alcohol beverages wine", "liquor_store store"},
	{"shop", "antiques bathroom_furnishing household_linen houseware interior_decoration kitchen lighting", "home_goods_store store"},
	{"shop", "bakery pastry", "bakery food store"},
	{"shop", "beauty tattoo", "beauty_salon"},
	{"shop", "bed furniture", "furniture_store home_goods_store store"},
	{"shop", "bicycle", "bicycle_store store"},
	{"shop", "books", "book_store store"},
	{"shop", "boutique clothes tailor", "clothing_store store"},
	{"shop", "butcher cheese chocolate coffee confectionery deli farm greengrocer grocery seafood spices tea", "food store"},
	{"shop", "car caravan motorcycle", "car_dealer store"},
	{"shop", "car_parts", "car_repair store"},
	{"shop", "car_repair", "car_repair"},
	{"shop", "chemist", "drugstore store"},
	{"shop", "computer electrical electronics hifi mobile_phone photo", "electronics_store store"},
	{"shop", "convenience", "convenience_store food store"},
	{"shop", "department_store", "department_store store"},
	{"shop", "doityourself paint", "hardware_store home_goods_store store"},
	{"shop", "dry_cleaning laundry", "laundry"},
	{"shop", "estate_agent", "real_estate_agency"},
	{"shop", "florist", "florist store"},
	{"shop", "funeral_directors", "funeral_home"},
	{"shop", "general", "convenience_store store"},
	{"shop", "hairdresser", "hair_care"},
	{"shop", "hardware trade", "hardware_store store"},
	{"shop", "hearing_aids medical_supply optician", "health store"},
	{"shop", "jewelry watches", "jewelry_store store"},
	{"shop", "locksmith", "locksmith store"},
	{"shop", "mall", "shopping_mall"},
	{"shop", "massage", "spa"},
	{"shop", "pet", "pet_store store"},
	{"shop", "pet_grooming", "pet_store"},
	{"shop", "pharmacy", "pharmacy store health"},
	{"shop", "shoes", "shoe_store store"},
	{"shop", "storage_rental", "storage"},
	{"shop", "supermarket", "supermarket food store"},
	{"shop", "travel_agency", "travel_agency"},
	{"shop", "video", "movie_rental store"},
	{"historic", "archaeological_site castle city_gate fort manor ruins", "tourist_attraction"},
	{"historic", "church", "church place_of_worship"},
	{"historic", "memorial tower wayside_cross wayside_shrine", "landmark"},
	{"historic", "monastery", "place_of_worship tourist_attraction"},
	{"historic", "monument", "tourist_attraction landmark"},
	{"aeroway", "aerodrome airstrip heliport terminal", "airport"},
	{"railway", "halt station", "train_station transit_station"},
	{"railway", "subway_entrance", "subway_station transit_station"},
	{"railway", "tram_stop", "light_rail_station transit_station"},
	{"public_transport", "platform station", "transit_station"},
	{"place", "archipelago island islet ocean sea", "natural_feature"},
	{"place", "borough", "sublocality"},
	{"place", "city farm hamlet isolated_dwelling locality town village", "locality"},
	{"place", "country", "country"},
	{"place", "county district", "administrative_area_level_2"},
	{"place", "municipality", "administrative_area_level_3"},
	{"place", "neighbourhood quarter suburb", "neighborhood"},
	{"place", "province region state", "administrative_area_level_1"},
	{"place", "square", "town_square"},
}
