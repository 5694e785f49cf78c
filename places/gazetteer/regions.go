package gazetteer

import (
	"fmt"
	"slices"
	"strings"
)

// regionsHeader is the first line of the list of regions.
const regionsHeader = "#code\tname"

// parseRegions reads the names of first-level regions by "country.code", as in
// "US.CA", from lines of code and name below a header. Its errors name the line.
func parseRegions(text string) (map[string]string, error) {
	names := make(map[string]string)
	line := 0
	for row := range strings.Lines(text) {
		line++
		row = strings.TrimSuffix(row, "\n")
		if line == 1 {
			if row != regionsHeader {
				return nil, fmt.Errorf("line 1: %q: want the header %q", row, regionsHeader)
			}
			continue
		}
		code, name, _ := strings.Cut(row, "\t")
		country, region, _ := strings.Cut(code, ".")
		if len(country) != 2 || region == "" || !isCode(country) || !isCode(region) {
			return nil, fmt.Errorf("line %d: code %q: want COUNTRY.REGION", line, code)
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("line %d: name %q: %w", line, name, err)
		}
		if _, twice := names[code]; twice {
			return nil, fmt.Errorf("line %d: code %q: there already", line, code)
		}
		names[code] = name
	}
	if line == 0 {
		return nil, fmt.Errorf("empty: want the header %q", regionsHeader)
	}
	return names, nil
}

// formatRegions is the inverse of parseRegions, sorted by code.
func formatRegions(names map[string]string) string {
	codes := make([]string, 0, len(names))
	for code := range names {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	var b strings.Builder
	b.WriteString(regionsHeader + "\n")
	for _, code := range codes {
		b.WriteString(code + "\t" + names[code] + "\n")
	}
	return b.String()
}
