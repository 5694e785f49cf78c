//go:build lab

package lab

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var mutantsOf = flag.String("mutants", "", "break only packages whose path matches this regular expression")

// mutantsFile lists, in the folder of a package, ways to break it. Its blocks are separated by empty lines. The first one has comments
// and, after the word test, the packages whose tests must notice, those first that are quick. Each of the others is a mutant: what the broken program does, the name of a file, the
// lines of a text that stands in it once (-), and the lines that take its place (+).
const mutantsFile = "testdata/mutants.txt"

type mutant struct{ what, file, text, instead string }

// readMutants returns the mutants of a package and the packages whose tests must notice them.
func readMutants(t *testing.T, folder string) (all []mutant, tests []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, mutantsFile))
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(text), "\n\n")
	for l := range strings.SplitSeq(head, "\n") {
		if packages, ok := strings.CutPrefix(l, "test "); ok {
			tests = strings.Fields(packages)
		}
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(rest, "\n"), "\n\n") {
		lines := strings.Split(block, "\n")
		if len(lines) < 4 {
			t.Fatalf("%s: no mutant: %q", folder, block)
		}
		m := mutant{what: lines[0], file: filepath.Join(folder, lines[1])}
		var sides [2][]string
		for _, l := range lines[2:] {
			side := strings.IndexByte("-+", l[0])
			if side < 0 {
				t.Fatalf("%s: %s: neither - nor +: %q", folder, m.what, l)
			}
			sides[side] = append(sides[side], l[1:])
		}
		m.text, m.instead = strings.Join(sides[0], "\n"), strings.Join(sides[1], "\n")
		all = append(all, m)
	}
	if all == nil || tests == nil {
		t.Fatalf("%s has no mutants, or no tests", folder)
	}
	return all, tests
}

// mutantFolders returns the packages that list mutants.
func mutantFolders(t *testing.T, chosen *regexp.Regexp) (folders []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if folder, ok := strings.CutSuffix(filepath.ToSlash(path), "/"+mutantsFile); ok && chosen.MatchString(folder) {
			folders = append(folders, folder)
		}
		return err
	})
	if err != nil || folders == nil {
		t.Fatalf("no mutants: %v", err)
	}
	return folders
}

// TestMutants breaks each package that lists mutants, in one way after the other: some test must fail. Which ones do is printed as a table.
func TestMutants(t *testing.T) {
	for _, folder := range mutantFolders(t, regexp.MustCompile(*mutantsOf)) {
		t.Run(folder, func(t *testing.T) { breakPackage(t, folder) })
	}
}

func breakPackage(t *testing.T, folder string) {
	began := time.Now()
	all, tests := readMutants(t, folder)
	if failed, out := tryMutant(t, mutant{}, tests); failed != "" {
		t.Fatalf("the tests fail on what is not broken: %s\n%s", failed, out)
	}
	var mu sync.Mutex
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	t.Run("mutants", func(t *testing.T) {
		for _, m := range all {
			t.Run(m.what, func(t *testing.T) {
				t.Parallel()
				failed, _ := tryMutant(t, m, tests)
				if failed == "" {
					t.Errorf("no test notices a herd that %s", m.what)
					failed = "–"
				}
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintf(table, "%s\t%s\n", m.what, failed)
			})
		}
	})
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %d mutants in %s: a herd that … is caught by\n%s", folder, len(all), time.Since(began).Round(time.Second), &text)
}

var testFailure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\w+)|^panic: (.*)$|^fatal error: (.*)$`)

// tryMutant runs the tests of packages, one after the other, as if a mutant stood in the source. It returns which tests failed in the
// first package in which some do, and what they printed.
func tryMutant(t *testing.T, m mutant, packages []string) (failed, out string) {
	t.Helper()
	args := []string{"test", "-short", "-failfast", "-vet=off", "-timeout=180s"}
	if m.file != "" {
		args = append(args, "-overlay="+overlay(t, m))
	}
	for _, p := range packages {
		combined, err := exec.CommandContext(t.Context(), "go", append(args, p)...).CombinedOutput()
		if err == nil {
			continue
		}
		out = string(combined)
		if strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]") {
			t.Fatalf("does not compile:\n%s", out)
		}
		var names []string
		for _, match := range testFailure.FindAllStringSubmatch(out, -1) {
			if name := strings.Join(match[1:], ""); !strings.Contains(strings.Join(names, " "), name) {
				names = append(names, name)
			}
		}
		if names == nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		return strings.Join(names, ", "), out
	}
	return "", ""
}

// overlay writes what go build reads in place of the file that a mutant breaks, and returns the path of the list that says so.
func overlay(t *testing.T, m mutant) string {
	t.Helper()
	text, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.text); n != 1 {
		t.Fatalf("%s has %q %d times instead of once", m.file, m.text, n)
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	broken, list := filepath.Join(t.TempDir(), "broken.go"), filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), m.text, m.instead, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: broken}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestMutantTexts checks that every mutant can be made: changes of the code may have moved what it replaces.
func TestMutantTexts(t *testing.T) {
	for _, folder := range mutantFolders(t, regexp.MustCompile(*mutantsOf)) {
		all, _ := readMutants(t, folder)
		for _, m := range all {
			text, err := os.ReadFile(m.file)
			if err != nil {
				t.Errorf("%s: %s: %v", folder, m.what, err)
			} else if n := strings.Count(string(text), m.text); n != 1 {
				t.Errorf("%s: %s: %s has %q %d times instead of once", folder, m.what, m.file, m.text, n)
			}
		}
	}
}
