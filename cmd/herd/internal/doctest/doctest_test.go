package doctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		printed, want string
		ok            bool
	}{
		{"a\nb\n", "a\nb", true},
		{"a\n\n", "a", true}, // an empty line in the end does not show
		{"", "", true},
		{"a\n", "", false},
		{"a\nb\n", "a", false},
		{"a\nb\nc\n", "a\n…\nc", true},
		{"a\nc\n", "a\n…\nc", true},
		{"a\nb\n", "a\n…\nc", false},
		{"a 17 b\n", "a … b", true},
		{"a 17\nb\n", "a … b", false},
		{"AT Hands +275325117.875202398 kiwi +1-1 1\n", "AT Hands -0.000000001 kiwi +1-1 1", true},
		{"AT Hands +275325117.875202398 kiwi +1-1 1\n", "AT Hands +0.000000001 kiwi +1-2 1", false},
		{"AT Welsh +1.875202398 kiwi +1-1 1\n", "AT Hands +1.000000001 kiwi +1-1 1", false},
		{"2026-11-22T18:45:49.074Z  INFO\n", "2025-01-01T00:00:00.000Z  INFO", true},
		{"in 70µs\n", "in 1.2ms", true},
		{"places.timeout  2s\n", "places.timeout  3s", false},
		{"28872 bytes\n", "28867 bytes", false},
		{"127.0.0.1:12125\n", "127.0.0.1:12126", false},
		{"127.0.0.1:40000\n", "localhost:50000", true},
		{"go1.26.8 linux/amd64\n", "go1.27 linux/arm64", true},
	} {
		if got := matches(tt.printed, strings.Split(tt.want, "\n")); tt.want != "" && got != tt.ok {
			t.Errorf("matches(%q, %q) = %t", tt.printed, tt.want, got)
		}
	}
	if matches("a\n", nil) || !matches("\n", nil) {
		t.Error("a command without output has to print nothing")
	}
}

func read(t *testing.T, text string) (*Page, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "'''", "```")), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(path)
}

func TestRead(t *testing.T) {
	p, err := read(t, "# Title\n<!-- test: background -->\n'''console\n$ a \\\n  b\nout\n\n$ c\n'''\n<!-- test: end -->\n<!-- test: TestOther -->\n'''console\n$ d\n'''\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.steps) != 3 || p.steps[0].mark != "background" || p.steps[1].mark != "end" {
		t.Fatalf("steps are %+v", p.steps)
	}
	all := p.steps[0].commands()
	if len(all) != 2 || all[0].text != "a \\\n  b" || len(all[0].want) != 1 || all[0].line != 5 || len(all[1].want) != 0 {
		t.Errorf("commands are %+v", all)
	}
	if tests := p.Tests(); len(tests) != 1 || tests[0] != "TestOther" {
		t.Errorf("tests are %q", tests)
	}
	for name, text := range map[string]string{
		"language":   "'''\n$ a\n'''\n",
		"no command": "'''console\nout\n'''\n",
		"no block":   "<!-- test: until -->\n\n'''console\n$ a\n'''\n",
		"mark":       "<!-- test: sometimes -->\n'''console\n$ a\n'''\n",
	} {
		if _, err := read(t, text); err == nil {
			t.Errorf("%s: a wrong page is read", name)
		}
	}
}

// root is a repository with the folder that pages find.
func root(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "configs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "configs", "herd.yaml"), []byte("herd: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPage(t *testing.T) {
	p, err := read(t, strings.Join([]string{
		"<!-- file: names -->", "'''yaml", "herd: one", "'''",
		"'''console", "$ cat names configs/herd.yaml", "herd: one", "herd: x", "'''",
		"<!-- test: background, later -->", "'''console", "$ tail -n 9 -f names", "herd: one", "two", "'''",
		"'''console", "$ echo two >>names", "'''",
		"<!-- test: end -->",
		"<!-- test: TestOther -->", "'''console", "$ exit 3", "'''", "",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	p.Test(t, Run{Root: root(t)})
}

func TestUpdate(t *testing.T) {
	p, err := read(t, "1. List\n\n   '''console\n   $ echo a; echo b\n   c\n   $ echo d\n   '''\n")
	if err != nil {
		t.Fatal(err)
	}
	p.Test(t, Run{Root: root(t), Update: true})
	text, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll("1. List\n\n   '''console\n   $ echo a; echo b\n   a\n   b\n   $ echo d\n   d\n   '''\n", "'''", "```"); string(text) != want {
		t.Errorf("rewritten to %s", text)
	}
	p, err = Read(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	p.Test(t, Run{Root: root(t)})
}
