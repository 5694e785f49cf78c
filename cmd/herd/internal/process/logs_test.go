package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/configs"
	"herd/node/line"
	"herd/node/session"
	"herd/places"

	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"
)

func TestLogForms(t *testing.T) {
	for format, want := range map[string]string{
		"console": `^\S+T\S+  INFO  Goloman  received  {"peer": "1.2.3.4:5", "line": "IAMAT \\"k\\""}` + "\n$",
		"json":    `^{"level":"info","time":"[^"]+","node":"Goloman","event":"received","peer":"1.2.3.4:5","line":"IAMAT \\"k\\""}` + "\n$",
	} {
		var out bytes.Buffer
		logs, err := openLogs(configs.Log{Level: "info", Format: format}, &out, false)
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

// A brief log leaves out what is marked as routine, and the mark is in no log.
func TestBriefLog(t *testing.T) {
	var out bytes.Buffer
	logs, err := openLogs(configs.Log{Level: "info", Format: "console"}, &out, true)
	if err != nil {
		t.Fatal(err)
	}
	log := logs.For("Goloman")
	log.Info("received", zap.String("peer", "1.2.3.4:5"))
	log.Info("replied", session.Routine, zap.String("peer", "1.2.3.4:5"))
	log.Info("ready")
	log.Debug("not this")
	logs.brief = false
	logs.For("Goloman").Info("replied", session.Routine, zap.Int("n", 1))
	const want = `received  {"peer": "1.2.3.4:5"}|ready|replied  {"n": 1}|`
	got := regexp.MustCompile(`(?m)^.*  Goloman  (.*)\n`).ReplaceAllString(out.String(), "$1|")
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// With a directory each node has a file of its own, which can be moved away.
func TestLogFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "logs")
	logs, err := openLogs(configs.Log{Level: "warn", Format: "json", Dir: dir}, nil, false)
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
	if _, err := openLogs(configs.Log{Level: "loud"}, nil, false); err == nil || !strings.HasPrefix(err.Error(), "log level: ") {
		t.Errorf("level: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLogs(configs.Log{Level: "info", Dir: file}, nil, false); err == nil || !strings.HasPrefix(err.Error(), "log directory: ") {
		t.Errorf("directory: %v", err)
	}
}

// A provider that fails is complained of once a minute for each way of failing, and all is counted.
func TestPlacesLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, entries := zapobserver.New(zap.InfoLevel)
		watch := placesLogger(zap.New(core))
		call := func(status, text string) {
			watch(places.Event{Provider: "google", Kind: places.Called, Status: status, Err: errors.New(text)})
		}
		watch(places.Event{Provider: "google", Kind: places.Called, Status: places.OK})
		watch(places.Event{Provider: "google", Kind: places.CacheHit})
		for range 3 {
			call(places.RequestDenied, "google: denied")
		}
		call(places.UnknownError, "google: torn")
		time.Sleep(complaintInterval)
		call(places.RequestDenied, "google: denied again")
		watch(places.Event{Provider: "google", Kind: places.BreakerTurned, State: places.Open, Err: errors.New("google: denied")})
		watch(places.Event{Provider: "google", Kind: places.BreakerTurned, State: places.HalfOpen})
		watch(places.Event{Provider: "google", Kind: places.BreakerTurned, State: places.Closed})

		type entry struct {
			level, text string
			fields      map[string]any
		}
		var got []entry
		for _, e := range entries.All() {
			got = append(got, entry{e.Level.String(), e.Message, e.ContextMap()})
		}
		const failed = "provider of places failed"
		want := []entry{
			{"warn", failed, map[string]any{"provider": "google", "status": "REQUEST_DENIED", "error": "google: denied"}},
			{"warn", failed, map[string]any{"provider": "google", "status": "UNKNOWN_ERROR", "error": "google: torn"}},
			{"warn", failed, map[string]any{"provider": "google", "status": "REQUEST_DENIED", "error": "google: denied again", "others": int64(2)}},
			{"warn", "provider of places not asked for a while", map[string]any{"provider": "google", "error": "google: denied"}},
			{"info", "provider of places", map[string]any{"provider": "google", "breaker": "half-open"}},
			{"info", "provider of places", map[string]any{"provider": "google", "breaker": "closed"}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}
