package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"herd/cmd/herd/internal/doctest"
)

// documents returns the paths of README.md and of all pages in docs.
func documents(t *testing.T, root string) []string {
	t.Helper()
	all := []string{filepath.Join(root, "README.md")}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDocs runs every console block of README.md and docs. What a page needs besides herd is nc of netcat-openbsd, curl and openssl.
// With -update it rewrites what commands print.
func TestDocs(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"bash", "nc", "curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: the blocks of the documents call it; on Debian: apt-get install netcat-openbsd curl openssl", err)
		}
	}
	for _, path := range documents(t, root) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := doctest.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range page.Tests() {
				if !testExists(t, root, test) {
					t.Errorf("%s names the test %s, which does not exist", name, test)
				}
			}
			page.Test(t, doctest.Run{
				Root: root, Moved: true, Update: *update,
				Files: map[string]string{"andorra.osm.pbf": "places/importer/testdata/andorra-poi.osm.pbf"},
				Env: []string{
					"GORACE=atexit_sleep_ms=0",
					"HERD_PLACES_TIMEOUT=1m", // the gazetteer is read while other pages run
				},
			})
		})
	}
}

// testExists looks for a test in the module's files, whatever their build tags.
func testExists(t *testing.T, root, name string) bool {
	t.Helper()
	declared, found := regexp.MustCompile(`(?m)^func `+name+`\(`), false
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || found || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		found = declared.Match(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// natsTool does what NATS's own tool does for these arguments, as it is too large to be built here:
//
//	nats -s URL --inbox-prefix PREFIX req --raw SUBJECT TEXT
func natsTool() {
	flags := flag.NewFlagSet("nats", flag.ExitOnError)
	url, prefix := flags.String("s", "", ""), flags.String("inbox-prefix", "", "")
	if err := flags.Parse(os.Args[1:]); err != nil {
		fail(err)
	}
	if flags.NArg() != 4 || flags.Arg(0) != "req" || flags.Arg(1) != "--raw" {
		fail(errors.New("nats: these arguments are not stood in for"))
	}
	conn, err := nats.Connect(*url, nats.CustomInboxPrefix(*prefix))
	if err != nil {
		fail(err)
	}
	defer conn.Close()
	reply, err := conn.Request(flags.Arg(2), []byte(flags.Arg(3)), patience)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(reply.Data))
}
