package node

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"herd/node/line"

	"go.uber.org/zap"
)

func TestLogForms(t *testing.T) {
	for format, want := range map[string]string{
		"console": `^\S+T\S+  INFO  Goloman  received  {"peer": "1.2.3.4:5", "line": "IAMAT \\"k\\""}` + "\n$",
		"json":    `^{"level":"info","time":"[^"]+","node":"Goloman","event":"received","peer":"1.2.3.4:5","line":"IAMAT \\"k\\""}` + "\n$",
	} {
		var out bytes.Buffer
		logs, err := OpenLogs(LogConfig{Level: "info", Format: format, Stderr: &out})
		if err != nil {
			t.Fatal(err)
		}
		log := logs.For("Goloman")
		log.Debug("not this")
		log.Info("received", zap.String("peer", "1.2.3.4:5"), zap.String("line", line.Printable(`IAMAT "k"`)))
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("%s: %q, want %s", format, out.String(), want)
		}
	}
}

// With a directory each node has a file of its own, which can be moved away.
func TestLogFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "logs")
	logs, err := OpenLogs(LogConfig{Level: "warn", Format: "json", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(logs.Reopen) // closes the files
	goloman, hands := logs.For("Goloman"), logs.For("Hands")
	goloman.Info("too little")
	goloman.Warn("first")
	hands.Warn("other")
	moved := filepath.Join(dir, "moved.log")
	if err := os.Rename(filepath.Join(dir, "Goloman.log"), moved); err != nil {
		t.Fatal(err)
	}
	logs.Reopen()
	goloman.Warn("second")
	for file, want := range map[string]string{moved: "first", filepath.Join(dir, "Goloman.log"): "second", filepath.Join(dir, "Hands.log"): "other"} {
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"event":"`+want+`"`) {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
}

func TestLogFaults(t *testing.T) {
	if _, err := OpenLogs(LogConfig{Level: "loud"}); err == nil || !strings.HasPrefix(err.Error(), "log level: ") {
		t.Errorf("level: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLogs(LogConfig{Level: "info", Dir: file}); err == nil || !strings.HasPrefix(err.Error(), "log directory: ") {
		t.Errorf("directory: %v", err)
	}
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "\t\n\x00": "\t\n\x00", "é": "é", "\xff": `\xff`, "\u202e": `\u202e`, "\x7f": `\x7f`, "\"\xff\"": `\"\xff\"`,
	} {
		if got := line.Printable(in); got != want {
			t.Errorf("line.Printable(%q) = %q, want %q", in, got, want)
		}
	}
}
