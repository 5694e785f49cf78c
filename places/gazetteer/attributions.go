package gazetteer

// Attribution says where a part of the table comes from and what its licence
// asks to be shown.
type Attribution struct {
	Source  string // as the column "source" names it
	Licence string // short name
	URL     string // of the licence's text, or of the source's word on it
	Text    string // to be shown
}

// geoNames is shown with every answer that has results: even where all of them
// come from other sources, their vicinity is made of GeoNames' names.
var geoNames = Attribution{
	Source:  "geonames",
	Licence: "CC BY 4.0",
	URL:     "https://creativecommons.org/licenses/by/4.0/",
	Text:    "Place data © GeoNames (www.geonames.org), CC BY 4.0; modified",
}

// attributions holds one entry for each source that a row may name.
var attributions = []Attribution{
	geoNames,
	{
		Source:  "ourairports",
		Licence: "public domain",
		URL:     "https://ourairports.com/data/",
		Text:    "Airports from OurAirports (ourairports.com), public domain",
	},
	{
		Source:  "curated",
		Licence: "CC0 1.0",
		URL:     "https://creativecommons.org/publicdomain/zero/1.0/",
		Text:    "Landmarks compiled by the herd project, CC0 1.0",
	},
}

// Attributions returns the sources of the embedded table, the largest first.
func Attributions() []Attribution {
	return append([]Attribution(nil), attributions...)
}
