package status

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var update = flag.Bool("update", false, "rewrite the table of metrics in docs, to be reviewed as a diff")

const metricsTable = "../../docs/METRICS.md"

// full is a node in whose health every number is another one, from 1000 on, and every truth is one. It returns the numbers by prefix and
// JSON name as well.
func full() (*fixedSource, map[string]float64) {
	h := Health{
		Node: "Goloman", Bus: "connected", Digest: "0123456789abcdef",
		Links: []Link{{Peer: "Hands", State: "catching up", Topology: "differs", Lacking: []string{"Welsh"}}},
		Store: &Store{Mode: "interval", State: "store: disk full"}, Refused: map[string]uint64{"invalid line": 1},
		Places: map[string]Provider{"google": {Statuses: map[string]uint64{"OK": 2, "REQUEST_DENIED": 3}, Breaker: "half-open"}},
	}
	numbers, google := make(map[string]float64), h.Places["google"]
	for prefix, of := range map[string]any{"herd_": &h, "herd_link_": &h.Links[0], "herd_store_": h.Store, "herd_places_": &google} {
		v := reflect.ValueOf(of).Elem()
		for i := range v.NumField() {
			number := 1000 + float64(len(numbers))
			switch f := v.Field(i); f.Kind() {
			case reflect.Bool:
				f.SetBool(true)
				continue
			case reflect.Int:
				f.SetInt(int64(number))
			case reflect.Uint64:
				f.SetUint(uint64(number))
			case reflect.Float64:
				f.SetFloat(number)
			case reflect.Pointer:
				switch f.Type().Elem().Kind() {
				case reflect.Float64:
					f.Set(reflect.ValueOf(&number))
				case reflect.Bool:
					f.Set(reflect.ValueOf(new(true)))
					continue
				default:
					continue
				}
			default:
				continue
			}
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			numbers[prefix+name] = number
		}
	}
	h.Places["google"] = google
	lag := NewReportLag("Goloman", "client")
	lag.Observe(-3)
	lag.Observe(0.25)
	return &fixedSource{health: &h, counts: Counts{
		Opened: 4, Reasons: []string{"idle for too long", "invalid line"},
		Commands: []Command{{"IAMAT", "admitted", 5}, {"IAMAT", "stale", 6}, {"WHATSAT", "found", 7}},
		Lags:     []Histogram{lag, NewReportLag("Goloman", "neighbour"), NewLinkLag("Goloman", "Hands")},
	}}, numbers
}

// scrape returns the text of /metrics, and the values of the herd's own by name and labels.
func scrape(t *testing.T, source Source) (text string, values map[string]float64) {
	t.Helper()
	w := answer(New(Config{Source: source, Open: true}), "GET", "/metrics")
	if w.Code != 200 {
		t.Fatalf("/metrics says %d %s", w.Code, w.Body)
	}
	values = make(map[string]float64)
	for l := range strings.Lines(w.Body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), "} ")
		if !strings.HasPrefix(name, "herd_") {
			continue
		}
		var err error
		if values[name+"}"], err = strconv.ParseFloat(value, 64); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
	}
	return w.Body.String(), values
}

// Every number of the health is a metric of the same name: its prefix, the JSON name and, for a counter, _total.
func TestMetricsAgreeWithHealth(t *testing.T) {
	source, numbers := full()
	text, values := scrape(t, source)
	delete(numbers, "herd_places_calls") // a metric for each status, see below
	for name, number := range numbers {
		labels := `{node="Goloman"}`
		switch {
		case strings.HasPrefix(name, "herd_link_"):
			labels = `{node="Goloman",peer="Hands"}`
		case strings.HasPrefix(name, "herd_places_"):
			labels = `{provider="google"}`
		}
		if strings.Contains(text, "# TYPE "+name+"_total counter\n") {
			name += "_total"
		}
		if value, ok := values[name+labels]; !ok || value != number {
			t.Errorf("%s%s is %v, in the health %v", name, labels, value, number)
		}
	}
	for name, want := range map[string]float64{
		`herd_ready{node="Goloman"}`:                                             1,
		`herd_bus_connected{node="Goloman"}`:                                     1,
		`herd_link_duplicate_name{node="Goloman",peer="Hands"}`:                  1,
		`herd_link_digest_equal{node="Goloman",peer="Hands"}`:                    1,
		`herd_link_never_received{node="Goloman",peer="Hands"}`:                  1,
		`herd_link_topology_differs{node="Goloman",peer="Hands"}`:                1,
		`herd_link_state{node="Goloman",peer="Hands",state="down"}`:              0,
		`herd_link_state{node="Goloman",peer="Hands",state="catching_up"}`:       1,
		`herd_link_state{node="Goloman",peer="Hands",state="up"}`:                0,
		`herd_store_state{node="Goloman",state="failing"}`:                       1,
		`herd_refused_total{node="Goloman",reason="invalid line"}`:               1,
		`herd_refused_total{node="Goloman",reason="idle for too long"}`:          0,
		`herd_places_calls_total{provider="google",status="REQUEST_DENIED"}`:     3,
		`herd_places_calls_total{provider="google",status="UNKNOWN_ERROR"}`:      0,
		`herd_places_breaker_state{provider="google",state="half-open"}`:         1,
		`herd_places_breaker_state{provider="google",state="open"}`:              0,
		`herd_sessions_opened_total{node="Goloman"}`:                             4,
		`herd_commands_total{command="WHATSAT",node="Goloman",outcome="found"}`:  7,
		`herd_reports_received_total{node="Goloman"}`:                            11,
		`herd_reports_admitted_total{node="Goloman"}`:                            5,
		`herd_reports_stale_total{node="Goloman"}`:                               6,
		`herd_report_lag_seconds_bucket{from="client",node="Goloman",le="-60"}`:  0,
		`herd_report_lag_seconds_bucket{from="client",node="Goloman",le="-1"}`:   1,
		`herd_report_lag_seconds_bucket{from="client",node="Goloman",le="0.1"}`:  1,
		`herd_report_lag_seconds_bucket{from="client",node="Goloman",le="0.25"}`: 2,
		`herd_report_lag_seconds_bucket{from="client",node="Goloman",le="+Inf"}`: 2,
		`herd_report_lag_seconds_sum{from="client",node="Goloman"}`:              -2.75,
		`herd_report_lag_seconds_count{from="neighbour",node="Goloman"}`:         0,
		`herd_link_lag_seconds_bucket{node="Goloman",peer="Hands",le="3600"}`:    0,
	} {
		if value, ok := values[name]; !ok || value != want {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
	source.health.Bus, source.health.Ready, source.health.Store = "disconnected", false, nil
	_, values = scrape(t, source)
	if values[`herd_ready{node="Goloman"}`] != 0 || values[`herd_bus_connected{node="Goloman"}`] != 0 {
		t.Error("a node without a bus is not told as such")
	}
	for name := range values {
		if strings.Contains(name, "store") {
			t.Errorf("a node without a store has %s", name)
		}
	}
}

// The names, units and helps are as Prometheus wants them, also those of Go and the process.
func TestMetricsLint(t *testing.T) {
	source, _ := full()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{source}, buildInfo("v1.2.3"))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	text, _ := scrape(t, source)
	for _, name := range []string{"go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

// docs/METRICS.md has each metric, with its type, labels and help.
func TestMetricsTable(t *testing.T) {
	source, _ := full()
	text, _ := scrape(t, source)
	described := regexp.MustCompile(`(?m)^# HELP (herd_\S+) (.*)\n# TYPE \S+ (\S+)\n[^{\n]+\{(.*)\} `)
	label := regexp.MustCompile(`(\w+)="`)
	var rows []string
	for _, m := range described.FindAllStringSubmatch(text, -1) {
		var labels []string
		for _, l := range label.FindAllStringSubmatch(m[4], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", m[1], m[3], strings.Join(labels, ", "), m[2]))
	}
	if helps := strings.Count(text, "# HELP herd_"); len(rows) != helps {
		t.Fatalf("%d rows of %d metrics", len(rows), helps)
	}
	file, err := os.ReadFile(metricsTable)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| metric | type | labels | |\n|---|---|---|---|\n"
	before, _, found := strings.Cut(string(file), head)
	want := before + head + strings.Join(rows, "\n") + "\n"
	switch {
	case !found:
		t.Fatalf("%s has no table", metricsTable)
	case *update:
		err = os.WriteFile(metricsTable, []byte(want), 0o600)
	case string(file) != want:
		t.Errorf("%s is not what a node tells: go test ./node/status -update", metricsTable)
	}
	if err != nil {
		t.Fatal(err)
	}
}
