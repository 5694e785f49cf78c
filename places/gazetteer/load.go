package gazetteer

import (
	"embed"
	"fmt"
	"io/fs"
)

// The embedded files. They are named by their folder, so that the program in
// pack can be built, and make them, where they are missing.
const (
	placesFile  = "data/places.zst"
	regionsFile = "data/admin1.tsv"
)

//go:generate go run ./pack

//go:embed data
var embedded embed.FS

// load builds the table of the files in data.
func load(data fs.FS) (*table, error) {
	regions, err := fs.ReadFile(data, regionsFile)
	if err != nil {
		return nil, fmt.Errorf("gazetteer: read the embedded data: %w", err)
	}
	names, err := parseRegions(string(regions))
	if err != nil {
		return nil, fmt.Errorf("gazetteer: read %s: %w", regionsFile, err)
	}
	packed, err := fs.ReadFile(data, placesFile)
	if err != nil {
		return nil, fmt.Errorf("gazetteer: read the embedded data: %w", err)
	}
	columns, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("gazetteer: read %s: %w", placesFile, err)
	}
	b := newBuilder(names, columns.rows(), len(columns[0])+len(columns[1]))
	if err := columns.each(b.add); err != nil {
		return nil, fmt.Errorf("gazetteer: read %s: %w", placesFile, err)
	}
	return b.build()
}
