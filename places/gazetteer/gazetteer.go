// Package gazetteer is the provider of places that needs no key and no network: an embedded table of the world's populated places and
// airports and of some landmarks, from the sources that Attributions names.
//
// Open returns at once and loads the table in a goroutine, which ends by itself; Find waits for it. The table is searched without a lock.
package gazetteer

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"herd/places/index"
)

// Gazetteer finds places in the embedded table. It implements places.Finder.
type Gazetteer struct{ *index.Provider[*table] }

// Open starts to load the embedded table and returns at once. A process needs only one Gazetteer: each holds a table of its own.
func Open() *Gazetteer { return open(embedded) }

// open is Open with the files of data.
func open(data fs.FS) *Gazetteer {
	return &Gazetteer{index.Load("gazetteer", func() (*table, error) { return load(data) })}
}

// The embedded files. The whole folder is embedded, so that the command in pack can be built, and make the files, when they are missing.
const (
	placesFile  = "data/places.zst"
	regionsFile = "data/admin1.tsv"
)

//go:generate go run ./pack

//go:embed data
var embedded embed.FS

// load builds the table from the files in data.
func load(data fs.FS) (*table, error) {
	regions, err := fs.ReadFile(data, regionsFile)
	if err != nil {
		return nil, fmt.Errorf("read the embedded data: %w", err)
	}
	names, err := parseRegions(string(regions))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", regionsFile, err)
	}
	packed, err := fs.ReadFile(data, placesFile)
	if err != nil {
		return nil, fmt.Errorf("read the embedded data: %w", err)
	}
	columns, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", placesFile, err)
	}
	t, err := columns.table(names)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", placesFile, err)
	}
	return t, nil
}

// Attribution says where a part of the table comes from, and what its licence requires to be shown.
type Attribution struct {
	Source  string `json:"source"`  // as the column "source" names it
	Licence string `json:"licence"` // short name
	URL     string `json:"url"`     // of the licence's text, or of the source's statement on it
	Text    string `json:"text"`    // to be shown
}

// attributions has an entry for each source of a row, the largest source first. GeoNames is shown with every answer that has results: even
// if all of them come from other sources, GeoNames has the names in their vicinity.
var attributions = []Attribution{
	{
		Source:  "geonames",
		Licence: "CC BY 4.0",
		URL:     "https://creativecommons.org/licenses/by/4.0/",
		Text:    "Place data © GeoNames (www.geonames.org), CC BY 4.0; modified",
	},
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
func Attributions() []Attribution { return slices.Clone(attributions) }
