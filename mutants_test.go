//go:build mutants

package herd_test

import (
	"fmt"
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

// mutant is a way to break the flood: a text of a file that is there once, and what stands in its place.
type mutant struct{ what, file, text, instead string }

var mutants = []mutant{
	{"tells a neighbour what came from it", "flood/engine.go", "if l.Peer != from {", "if l.Peer != Edge {"},
	{"merges what a client says instead of admitting it", "flood/engine.go", "if from == Edge {\n\t\tchanged", "if from == \"0\" {\n\t\tchanged"},
	{"takes the forgotten from repair", "flood/engine.go", "if from != Edge && e.registry", "if from == \"0\" && e.registry"},
	{"tells the disk only what clients say", "flood/engine.go", "if e.Disk != nil {", "if e.Disk != nil && from == Edge {"},
	{"compares times as floats", "line/number.go", "\tif len(a) == len(b) && strings.IndexByte", `	if x, err := strconv.ParseFloat(a, 64); err == nil {
		y, _ := strconv.ParseFloat(b, 64)
		return cmp.Compare(x, y)
	}
	if len(a) == len(b) && strings.IndexByte`},
	{"keeps the older of two reports that wait", "flood/queue.go", "r.Compare(q.waiting[place]) > 0", "r.Compare(q.waiting[place]) < 0"},
	{"leaves out no number when a queue is emptied", "flood/queue.go", "\tif !q.gap {", "\tif q.gap {"},
	{"has one gap for all that is lost", "flood/queue.go", "\tq.gap = false\n\treturn q.number", "\treturn q.number"},
	{"wakes nobody", "flood/queue.go", "return q.index.used == 1", "return q.index.used < 0"},
	{"ignores a gap between messages", "flood/link.go", "missing > 0 {", "missing > 1<<62 {"},
	{"ignores a gap that a heartbeat tells of", "flood/beat.go", "lost := h.last != b.last", "lost := h.last > b.last"},
	{"ignores that a neighbour has begun anew", "flood/link.go", "l.engine.want(l, now, \"new incarnation\")", "l.counts.Gaps += 0"},
	{"takes a message before it is merged", "flood/link.go", "\tcase Reports:\n", "\tcase Reports:\n\t\tif m.Stamp.Number > 0 {\n\t\t\tl.processed(now, m.Stamp, len(m.Reports))\n\t\t}\n"},
	{"compares digests at every heartbeat", "flood/beat.go", "mine.empty && b.processed == mine.number", "mine.number == mine.number"},
	{"compares digests while something waits", "flood/beat.go", "b.settled = s.empty &&", "b.settled ="},
	{"ignores that digests are equal", "flood/beat.go", "b.digest == mine.digest", "b.digest == mine.digest+1"},
	{"makes records by its clock alone", "flood/records.go", "known.Time+1", "r.Time"},
	{"tells who returns only later records", "flood/beat.go", "\t\tl.oweAll()\n", ""},
	{"passes records on as new", "flood/record.go", "now.Sub(r.Made)+time", "0*now.Sub(r.Made)+time"},
	{"does not tell others what it pulled", "flood/repair.go", "e.HearAll(r.reports, l.Peer,", "for _, r := range r.reports {\n\t\t\te.registry.Merge(r)\n\t\t}\n\t\te.HearAll(nil, l.Peer,"},
	{"takes what an earlier start has sent for a sign of life", "flood/link.go", "l.alive && s.Incarnation == l.current", "l.alive"},
	{"takes reports for a heartbeat of a link that is down", "flood/link.go", "if l.alive && s.Incarnation", "if s.Incarnation"},
	{"gives a walk up for good", "flood/repair.go", "\te.want(w.link, now, w.why)\n", ""},
	{"repairs without pause what twins break", "flood/repair.go", "now.Add(twinTime)", "now"},
	{"ends a walk at the first difference", "flood/walk.go", "next = append(next, ask{kind: look, branch: part})", "return append(next, ask{kind: look, branch: part})"},
	{"asks no more when there was not room for all", "flood/walk.go", "\t\t\treturn []ask{a}\n\t\t}\n\t\treturn []ask{{kind", "\t\t\treturn nil\n\t\t}\n\t\treturn []ask{{kind"},
	{"marks reports alike in every walk", "flood/digest.go", "mark(bits.RotateLeft64(d, int(salt)))", "mark(bits.RotateLeft64(d, 0*int(salt)))"},
	{"keeps what was replaced in the digest", "flood/registry.go", "digestOf(r) - digestOf(s.reports[place])", "digestOf(r)"},
	{"forgets only at its own clock's time", "flood/beat.go", "\t\te.raise(b.cutoff)\n", ""},
	{"takes stale echoes for a twin", "flood/beat.go", "&& now.Sub(l.heard) < echoTime", "&& now.Sub(l.heard) < time.Hour"},
	{"sees no twin of a neighbour", "flood/beat.go", "\t\t\t\tl.complain(now, NeighbourTwin)", "\t\t\t\tl.foreign += 0"},
}

// The tests of the flood catch all that breaks it: each mutant is made in a copy, and some test must fail there. Which ones catch it is
// printed as a table.
func TestMutants(t *testing.T) {
	began := time.Now()
	if failed, out := try(t, mutant{}); failed != "" {
		t.Fatalf("the tests fail on what is not broken: %s\n%s", failed, out)
	}
	var mu sync.Mutex
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	t.Run("mutants", func(t *testing.T) {
		for _, m := range mutants {
			t.Run(m.what, func(t *testing.T) {
				t.Parallel()
				failed, out := try(t, m)
				if failed == "" {
					t.Errorf("no test notices a herd that %s:\n%s", m.what, out)
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
	t.Logf("%d mutants in %s: a herd that … is caught by\n%s", len(mutants), time.Since(began).Round(time.Second), &text)
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\w+)|^panic: (.*)$`)

// try runs the tests on a copy with a mutant, and returns which failed and what they said.
func try(t *testing.T, m mutant) (failed, out string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"node/line", "node/flood"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
	}
	if m.file != "" {
		path := filepath.Join(dir, "node", m.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), m.text); n != 1 {
			t.Fatalf("%s has %q %d times instead of once", m.file, m.text, n)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), m.text, m.instead, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "go", "test", "-short", "-failfast", "-vet=off", "-timeout=60s",
		"./node/line", "./node/flood", "./node/flood/simulate")
	c.Dir = dir
	combined, err := c.CombinedOutput()
	out = string(combined)
	if strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]") {
		t.Fatalf("does not compile:\n%s", out)
	}
	if err == nil {
		return "", out
	}
	var names []string
	for _, match := range failure.FindAllStringSubmatch(out, -1) {
		if name := match[1] + match[2]; !strings.Contains(strings.Join(names, " "), name) {
			names = append(names, name)
		}
	}
	if names == nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return strings.Join(names, ", "), out
}
