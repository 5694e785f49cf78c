//go:build lab

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"herd/cmd/herd/internal/bench"
	"herd/cmd/herd/internal/bench/plot"
)

const (
	peersFile = "docs/peers.json"
	document  = "PERFORMANCE.md"
)

// measured is all that the file of runs has.
type measured struct {
	Rows map[string]*measuredRow `json:"rows"`
}

// measuredRow is what one row brought, and where and when: each figure in the order of the runs.
type measuredRow struct {
	Machine []string                 `json:"machine"`
	Date    string                   `json:"date"` // when the row began
	Load    string                   `json:"load"` // of others on the machine, just before
	Seconds float64                  `json:"seconds"`
	Figures map[string][]float64     `json:"figures"`
	Curves  map[string][]bench.Point `json:"curves,omitempty"`
}

// runs returns how often the row was measured.
func (r *measuredRow) runs() (n int) {
	for _, values := range r.Figures {
		n = max(n, len(values))
	}
	return n
}

// readMeasured returns the runs that PERFORMANCE.md shows.
func readMeasured(t *testing.T) *measured {
	m := &measured{Rows: make(map[string]*measuredRow)}
	text, err := os.ReadFile(peersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return m
	}
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// encode returns JSON with a line for each row.
func (m *measured) encode() ([]byte, error) {
	var rows []string
	for _, name := range slices.Sorted(maps.Keys(m.Rows)) {
		row, err := json.Marshal(m.Rows[name])
		if err != nil {
			return nil, err
		}
		rows = append(rows, fmt.Sprintf("%q:%s", name, row))
	}
	return fmt.Appendf(nil, "{\"rows\":{\n%s\n}}\n", strings.Join(rows, ",\n")), nil
}

// machine describes this machine and the versions of what is measured.
func machine() []string {
	output := func(name string, args ...string) string {
		out, _ := exec.Command(name, args...).Output() // a program that is missing prints nothing
		return before(string(out), "\n")
	}
	field := func(file, name, cut string) string {
		text, _ := os.ReadFile(file)
		for l := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(l, name); ok {
				return strings.Trim(value, cut+"\n")
			}
		}
		return ""
	}
	kibibytes, _ := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal:", " "), " kB"))
	redis := output("redis-server", "--version")
	if f := strings.Fields(redis); len(f) > 2 {
		redis = "Redis " + strings.TrimPrefix(f[2], "v=")
	}
	module := func(path string) string { return strings.TrimSpace(output("go", "list", "-m", path)) }
	return slices.DeleteFunc([]string{
		fmt.Sprintf("%s, %d of its processors, %.0f GB", field("/proc/cpuinfo", "model name", "\t: "), runtime.NumCPU(), float64(kibibytes)/1e6),
		fmt.Sprintf("%s, Linux %s", field("/etc/os-release", "PRETTY_NAME=", `"`), output("uname", "-r")),
		fmt.Sprintf("%s, %s, %s", strings.TrimPrefix(output("go", "version"), "go version "), module("github.com/nats-io/nats-server/v2"), module("github.com/nats-io/nats.go")),
		redis,
	}, func(s string) bool { return s == "" })
}

func before(text, cut string) string {
	first, _, _ := strings.Cut(text, cut)
	return first
}

// loadOfOthers returns how many processors are in use while this test does nothing. What a hypervisor gives to other machines counts.
func loadOfOthers(t *testing.T) string {
	t.Helper()
	const watched = 2 * time.Second
	busy := func() (hundredths int) { // of a second, of all processors
		text, err := os.ReadFile("/proc/stat")
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range strings.Fields(before(string(text), "\n"))[1:9] { // see proc_stat(5)
			const idle, waiting = 3, 4
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			if i != idle && i != waiting {
				hundredths += n
			}
		}
		return hundredths
	}
	began := busy()
	time.Sleep(watched)
	return fmt.Sprintf("%.2f processors", float64(busy()-began)/100/watched.Seconds())
}

// machines lists what the rows were measured on: once if that was the same for all.
func (m *measured) machines() string {
	groups := make(map[string][]string)
	for _, r := range rows {
		if found := m.Rows[r.name]; found != nil {
			on := "- " + strings.Join(found.Machine, "\n- ") + "\n"
			groups[on] = append(groups[on], r.name)
		}
	}
	var lists []string
	for on, names := range groups {
		if len(groups) > 1 {
			on = strings.Join(names, ", ") + ":\n\n" + on
		}
		lists = append(lists, on)
	}
	slices.Sort(lists)
	return strings.Join(lists, "\n")
}

// summary is a figure's median and spread.
type summary struct{ median, least, most float64 }

func summarise(values []float64) summary {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return summary{}
	}
	return summary{(v[(len(v)-1)/2] + v[len(v)/2]) / 2, v[0], v[len(v)-1]}
}

func (s summary) String() string {
	return fmt.Sprintf("%s (%s–%s)", plot.Number(s.median), plot.Number(s.least), plot.Number(s.most))
}

// judge returns a target's figure, its text, and whether it is met; "" if nothing is expected.
func (g *bound) judge(figures map[string][]float64) (value, want, met string) {
	var values []float64
	scale := g.scale
	if scale == 0 {
		scale = 1
	}
	for i, v := range figures[g.of] {
		if by := figures[g.by]; g.by != "" {
			if i >= len(by) {
				break
			}
			v /= by[i]
		}
		values = append(values, scale*v)
	}
	unit := g.unit
	if g.by != "" || strings.Contains(g.of, "/bare") {
		unit = "×"
	}
	if len(values) == 0 {
		return "–", "", ""
	}
	s := summarise(values)
	value = fmt.Sprintf("%s %s", s, unit)
	ok := true
	switch {
	case g.least > 0:
		want, ok = fmt.Sprintf("≥ %g %s", g.least, unit), s.median >= g.least
	case g.most > 0:
		want, ok = fmt.Sprintf("≤ %g %s", g.most, unit), s.median <= g.most
	default:
		return value, "", ""
	}
	switch {
	case *peersQuick:
		return value, want, "–"
	case ok:
		return value, want, "yes"
	}
	return value, want, "**no**"
}

// rowsTable is the table of when and how each row was measured, table that of ratios, and figuresTable has what they come from. Rows
// that were not measured are left out.
func (m *measured) rowsTable() [][]string {
	cells := [][]string{{"row", "measured", "load of others just before", "runs", "took"}}
	for _, r := range rows {
		if found := m.Rows[r.name]; found != nil {
			cells = append(cells, []string{r.name, found.Date, found.Load, strconv.Itoa(found.runs()), fmt.Sprintf("%.0f s", found.Seconds)})
		}
	}
	return cells
}

func (m *measured) table() [][]string {
	cells := [][]string{{"what", "figure", "measured", "target", "met"}}
	for _, r := range rows {
		found := m.Rows[r.name]
		if found == nil {
			continue
		}
		title := r.title
		for _, g := range r.targets {
			value, want, met := g.judge(found.Figures)
			of := g.of
			if g.by != "" {
				of += " / " + g.by
			}
			cells = append(cells, []string{title, of, value, want, met})
			title = ""
		}
	}
	return cells
}

func (m *measured) figuresTable() [][]string {
	cells := [][]string{{"row", "figure", "median (min–max)"}}
	for _, r := range rows {
		found := m.Rows[r.name]
		if found == nil {
			continue
		}
		title := r.name
		for _, name := range slices.Sorted(maps.Keys(found.Figures)) {
			cells = append(cells, []string{title, name, summarise(found.Figures[name]).String()})
			title = ""
		}
	}
	return cells
}

// markdown aligns a table, whose first row is its head.
func markdown(cells [][]string) string {
	wide := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, c := range row {
			wide[i] = max(wide[i], utf8.RuneCountInString(c), 3)
		}
	}
	var b strings.Builder
	for n, row := range cells {
		for i, c := range row {
			b.WriteString("| " + c + strings.Repeat(" ", wide[i]-utf8.RuneCountInString(c)) + " ")
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range wide {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// publish prints the table, or writes the document and what belongs to it.
func (m *measured) publish(t *testing.T, write bool) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := m.encode()
	must(err)
	if !write {
		fmt.Printf("\n%s\n%s\n%s\n%s\n", m.machines(), markdown(m.rowsTable()), markdown(m.table()), markdown(m.figuresTable()))
		if *peersOut != "" {
			must(os.WriteFile(*peersOut, text, 0o644))
		}
		return
	}
	must(os.MkdirAll("docs", 0o755))
	must(os.WriteFile(peersFile, text, 0o644))
	for name, picture := range m.pictures() {
		must(os.WriteFile("docs/"+name, picture, 0o644))
	}
	page, err := os.ReadFile(document)
	must(err)
	for name, part := range map[string]string{
		"machine": m.machines(),
		"rows":    markdown(m.rowsTable()),
		"targets": markdown(m.table()),
		"figures": markdown(m.figuresTable()),
	} {
		page = []byte(replaceBetween(t, string(page), name, part))
	}
	must(os.WriteFile(document, page, 0o644))
}

// replaceBetween replaces what a page has between the comments with that name.
func replaceBetween(t *testing.T, page, name, part string) string {
	t.Helper()
	before, rest, begins := strings.Cut(page, "<!-- "+name+" -->\n")
	_, after, ends := strings.Cut(rest, "<!-- end of "+name+" -->")
	if !begins || !ends {
		t.Fatalf("%s has no comments <!-- %s --> and <!-- end of %s -->", document, name, name)
	}
	return before + "<!-- " + name + " -->\n\n" + part + "\n<!-- end of " + name + " -->" + after
}
