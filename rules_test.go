// Package herd_test holds the whole module to its house rules.
package herd_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rules is the table of packages in ARCHITECTURE.md.
type rules struct {
	imports map[string][]string // for each package of ours, those of ours that it may import
	owners  map[string][]string // for the beginning of each import path of others that has owners, those packages of ours
}

var quoted = regexp.MustCompile("`([^`]+)`")

// names returns what a cell of a table has between backquotes.
func names(cell string) (all []string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// readRules reads the table, whose rows are: package, what lives there, what it may import, what it owns.
func readRules(t *testing.T) rules {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	r := rules{make(map[string][]string), make(map[string][]string)}
	_, table, found := strings.Cut(string(text), "\n| package | what lives there | may import (ours) | owns |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("ARCHITECTURE.md has no table of packages")
	}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || len(names(cells[0])) != 1 {
			t.Fatalf("ARCHITECTURE.md: the row %q does not name one package in the first of four cells", line)
		}
		name := names(cells[0])[0]
		if _, twice := r.imports[name]; twice {
			t.Errorf("ARCHITECTURE.md: package %s has two rows", name)
		}
		r.imports[name] = names(cells[2])
		for _, dependency := range names(cells[3]) {
			r.owners[dependency] = append(r.owners[dependency], name)
		}
	}
	for _, heavy := range []string{"go.opentelemetry.io", "github.com/prometheus", "github.com/spf13/cobra", "github.com/spf13/viper", "go.uber.org/zap"} {
		if len(r.owners[heavy]) == 0 {
			t.Errorf("ARCHITECTURE.md: nobody owns %s", heavy)
		}
	}
	return r
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
	rules := readRules(t)
	used := make(map[string]map[string]bool) // by package: what it imports of ours, and what it owns
	sources(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		if used[folder] == nil {
			used[folder] = make(map[string]bool)
		}
		allowed, known := rules.imports[folder]
		if !known {
			t.Errorf("%s: package %s has no row in ARCHITECTURE.md", path, folder)
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
			if ours, ok := strings.CutPrefix(name, "herd/"); ok {
				used[folder][ours] = true
				if !slices.Contains(allowed, ours) {
					t.Errorf("%s: by ARCHITECTURE.md %s may not import %s", path, folder, ours)
				}
			}
			for dependency, who := range rules.owners {
				if within(name, dependency) {
					used[folder][dependency] = true
					if !slices.Contains(who, folder) {
						t.Errorf("%s: by ARCHITECTURE.md %s belongs to %v", path, name, who)
					}
				}
			}
		}
	})
	rules.used(t, used)
}

// used checks that each row is that of a package, and that the package imports what its row lists.
func (r rules) used(t *testing.T, used map[string]map[string]bool) {
	t.Helper()
	for folder, allowed := range r.imports {
		if used[folder] == nil {
			t.Errorf("ARCHITECTURE.md has a row for package %s, which does not exist", folder)
		}
		for _, other := range allowed {
			if !used[folder][other] {
				t.Errorf("ARCHITECTURE.md: %s does not import %s", folder, other)
			}
		}
	}
	for dependency, who := range r.owners {
		for _, folder := range who {
			if !used[folder][dependency] {
				t.Errorf("ARCHITECTURE.md: %s does not import %s, which it owns", folder, dependency)
			}
		}
	}
}

// within reports whether an import path is that of a module or folder, or of something in it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func TestFileLength(t *testing.T) {
	sources(t, func(path string, text []byte) {
		if lines := bytes.Count(text, []byte("\n")); lines > longest {
			t.Errorf("%s has %d lines, more than %d", path, lines, longest)
		}
	})
}

// replaced are words that had a meaning of their own in herd, with the word of the field that is used for it instead.
var replaced = map[string]string{
	"tell": "send", "tells": "sends", "told": "sent", "telling": "sending", "hear": "receive", "hears": "receives", "heard": "received",
	"hearing": "receiving", "unheard": "never received", "emptied": "dropped", "milestone": "in-flight mark", "twin": "duplicate name",
	"twins": "duplicate names", "stranger": "unknown", "strangers": "unknown", "guest": "connection", "guests": "connections", "crowd": "pool",
	"patient": "slow, or probe target", "restless": "noPark", "hurry": "drain", "shake": "handshake", "fleet": "process", "walked": "synced",
}

// wordsOf finds the words of a name in camel case.
var wordsOf = regexp.MustCompile(`[A-Z]?[a-z]+`)

// Names are made of the words of the field.
func TestVocabulary(t *testing.T) {
	files := token.NewFileSet()
	sources(t, func(path string, text []byte) {
		file, err := parser.ParseFile(files, path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		check := func(names ...*ast.Ident) {
			for _, name := range names {
				for _, word := range wordsOf.FindAllString(name.Name, -1) {
					if instead, found := replaced[strings.ToLower(word)]; found {
						t.Errorf("%s: %s: instead of %q write %q", files.Position(name.Pos()), name.Name, strings.ToLower(word), instead)
					}
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				check(n.Name)
			case *ast.TypeSpec:
				check(n.Name)
			case *ast.Field: // of structs and interfaces, parameters and results
				check(n.Names...)
			case *ast.ValueSpec:
				check(n.Names...)
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if name, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
						check(name)
					}
				}
			case *ast.RangeStmt:
				for _, left := range []ast.Expr{n.Key, n.Value} {
					if name, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
						check(name)
					}
				}
			}
			return true
		})
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

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"`)
	heading      = regexp.MustCompile(`(?m)^#+ (.+)$`)
	code         = regexp.MustCompile("(?s)```.*?```")
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the names by which the headings of a page can be linked to.
func anchors(page string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(page, ""), -1) {
		all = append(all, strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// Links between documents, and from them to files, lead somewhere.
func TestLinks(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range markdownLink.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			target, anchor, _ := strings.Cut(m[1]+m[2], "#")
			if strings.Contains(target, ":") {
				continue // elsewhere
			}
			other := path
			if target != "" {
				other = filepath.Join(filepath.Dir(path), target)
			}
			page, err := os.ReadFile(other)
			if info, failed := os.Stat(other); failed != nil || err != nil && !info.IsDir() {
				t.Errorf("%s links to %s, which does not exist", path, target)
			} else if anchor != "" && !slices.Contains(anchors(string(page)), anchor) {
				t.Errorf("%s links to %s, which has no heading #%s", path, other, anchor)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	testNamed = regexp.MustCompile("^(Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*$")
	pathNamed = regexp.MustCompile(`^(bus|cmd|configs|node|places|secret|docs|\.ci)/[A-Za-z0-9_./-]+$`)
)

// What documents name between backquotes exists: tests, and files and packages of the repository. So do the tests that the Makefile and
// the gate run: go test does not mind a pattern that none matches.
func TestNames(t *testing.T) {
	declared := make(map[string]bool)
	sources(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "func "); ok {
				name, _, _ = strings.Cut(name, "(")
				declared[name] = true
			}
		}
	})
	for _, path := range []string{"Makefile", ".ci/run"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z]\w*`).FindAllString(string(text), -1) {
			if !declared[name] {
				t.Errorf("%s runs the test %s, which does not exist", path, name)
			}
		}
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"docs/*.md", "docs/design/*.md", "docs/design/decisions/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names(code.ReplaceAllString(string(text), "")) {
			if testNamed.MatchString(name) && !declared[name] {
				t.Errorf("%s names the test %s, which does not exist", path, name)
			}
			if pathNamed.MatchString(name) {
				if _, err := os.Stat(name); err != nil {
					t.Errorf("%s names %s, which does not exist", path, name)
				}
			}
		}
	}
}
