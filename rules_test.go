// Package herd_test holds the whole module to its house rules.
package herd_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imports says which of our packages each package may import. A new package is a new row here and in ARCHITECTURE.md.
var imports = map[string][]string{
	"node/line":                   {},
	"node/topology":               {"node/line"},
	"node/flood":                  {"node/line", "node/topology"},
	"node/flood/simulate":         {"node/flood", "node/line", "node/topology"},
	"node/load":                   {},
	"node/load/plot":              {},
	"node/store":                  {"node/line"},
	"node/near":                   {"node/line", "places"},
	"node/status":                 {"node/line", "node/flood", "node/topology", "node/near", "node/status/page", "places"},
	"node/status/page":            {},
	"bus":                         {},
	"places":                      {},
	"places/osm":                  {"places"},
	"places/upstream":             {"places"},
	"places/google":               {"places", "places/upstream"},
	"places/overpass":             {"places", "places/osm", "places/upstream"},
	"places/conformance":          {"places"},
	"places/replay":               {"places"},
	"places/replay/cmd":           {"places/replay"},
	"places/index":                {"places"},
	"places/gazetteer":            {"places", "places/index"},
	"places/file":                 {"places", "places/index"},
	"places/importer":             {"places", "places/file", "places/index", "places/osm", "places/importer/pbf"},
	"places/importer/pbf":         {},
	"places/importer/pbf/pbftest": {"places/importer/pbf"},
	"places/gazetteer/pack":       {"places/gazetteer"},
	"configs":                     {"node/line", "node/topology"},
	"node":                        {"node/line", "node/flood", "node/topology", "node/store", "node/status", "bus", "places"},
	"cmd/herd":                    {"configs", "node", "node/line", "node/flood", "node/topology", "node/flood/simulate", "node/load", "node/load/plot", "node/store", "node/status", "node/status/page", "bus", "places", "places/file", "places/gazetteer", "places/google", "places/importer", "places/overpass", "places/upstream"},
}

// owners says which packages may import a heavy dependency.
var owners = map[string][]string{
	"github.com/hashicorp/golang-lru": {"places"},
	"github.com/sony/gobreaker":       {"places/upstream"},
	"github.com/nats-io/":             {"bus"},
	"github.com/prometheus/":          {"node/status"},
	"github.com/spf13/viper":          {"configs"},
	"github.com/spf13/cobra":          {"cmd/herd"},
	"github.com/cockroachdb/":         {"node/store"},
	"github.com/HdrHistogram/":        {"node/load"},
	"go.uber.org/zap":                 {"node"},
	"gopkg.in/natefinch":              {"node"},
	"github.com/klauspost/compress":   {"places/gazetteer", "places/file", "places/importer/pbf"},
}

const longest = 400 // lines of a file

// sources calls visit with every Go file of the module.
func sources(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			visit(path, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImports(t *testing.T) {
	seen := make(map[string]bool)
	sources(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		seen[folder] = true
		allowed, known := imports[folder]
		if !known {
			t.Errorf("%s: package %s is not in the table of imports", path, folder)
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if ours, ok := strings.CutPrefix(name, "herd/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s: %s may not import %s", path, folder, ours)
			}
			for dependency, who := range owners {
				if strings.HasPrefix(name, dependency) && !slices.Contains(who, folder) {
					t.Errorf("%s: %s belongs to %v", path, name, who)
				}
			}
		}
	})
	for folder := range imports {
		if !seen[folder] {
			t.Errorf("package %s is in the table of imports, but not there", folder)
		}
	}
}

func TestFileLength(t *testing.T) {
	sources(t, func(path string, text []byte) {
		if lines := bytes.Count(text, []byte("\n")); lines > longest {
			t.Errorf("%s has %d lines, more than %d", path, lines, longest)
		}
	})
}

func TestPackageComments(t *testing.T) {
	comments := make(map[string]int)
	sources(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(path)
		comments[folder] += 0
		if file.Doc != nil {
			comments[folder]++
		}
	})
	for folder, n := range comments {
		if n != 1 {
			t.Errorf("package %s has %d package comments", folder, n)
		}
	}
}
