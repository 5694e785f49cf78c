package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"herd/node/line"
)

// write puts a file of this content into a fresh directory and returns its path.
func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed returns a flag set of all keys that has parsed args.
func parsed(t testing.TB, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("herd", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// value returns one of c.Values.
func value(t testing.TB, c *Config, name string) Value {
	t.Helper()
	for _, v := range c.Values() {
		if v.Key == name {
			return v
		}
	}
	t.Fatalf("no value %s", name)
	return Value{}
}

// others are three values for a key, each different from the one before, and the first from the default.
func others(t testing.TB, k key) [3]string {
	t.Helper()
	if k.within("tls") && k.is == "" { // a file, which its companions require
		return [3]string{"a.pem", "b.pem", "c.pem"}
	}
	byCheck := map[string][3]string{
		"clients":           {"require", "require", "require"}, // none needs others to be absent
		"name":              {"one", "2", "three_3"},
		"address or none":   {"127.0.0.1:1", "", ":0"},
		"servers or none":   {"nats://a", "", "nats://b:1,tls://c:2"},
		"provider":          {"google", "gazetteer", "google-legacy"}, // the others need a key besides
		"endpoint or none":  {"https://a", "", "http://b:1/c"},
		"fields":            {"rating", "", "priceLevel, rating"},
		"fallback":          {"none", "gazetteer", "none"},
		"mode":              {"always", "interval", "always"},
		"level":             {"debug", "warn", "error"},
		"format":            {"json", "console", "json"},
		"observe":           {"on", "off", "auto"},
		"collector or none": {"http://127.0.0.1:4318", "", "https://traces.example/otlp"},
	}
	if values, ok := byCheck[k.is]; ok {
		return values
	}
	byKind := map[string][3]string{
		"text":     {"5", "", "true"},
		"number":   {"7", "8", "9"},
		"bool":     {"true", "false", "true"},
		"duration": {"1ms", "1h30m", "20s"},
	}
	values, ok := byKind[k.kind()]
	if !ok {
		t.Fatalf("no values for %s", k.name)
	}
	return values
}

// companions are the variables without which a value of a key is refused.
func companions(k key) []string {
	switch k.name {
	case "tls.cert":
		return []string{"HERD_TLS_KEY=key.pem"}
	case "tls.key":
		return []string{"HERD_TLS_CERT=cert.pem"}
	case "tls.clients":
		return []string{"HERD_TLS_CERT=cert.pem", "HERD_TLS_KEY=key.pem", "HERD_TLS_CA=ca.pem"}
	case "tls.ca":
		return []string{"HERD_TLS_CERT=cert.pem", "HERD_TLS_KEY=key.pem", "HERD_TLS_CLIENTS=require"}
	}
	return nil
}

// nested returns a scalar key as YAML.
func nested(k key, value string) string {
	if k.kind() == "text" {
		value = fmt.Sprintf("%q", value)
	}
	outer, inner, ok := strings.Cut(k.name, ".")
	if !ok {
		return fmt.Sprintf("%s: %s\n", k.name, value)
	}
	return fmt.Sprintf("%s: {%s: %s}\n", outer, inner, value)
}

func TestPrecedence(t *testing.T) {
	seen := 0
	for _, k := range configKeys {
		if !k.scalar() {
			continue
		}
		seen++
		values := others(t, k)
		path := write(t, nested(k, values[0]))
		with := companions(k)
		environ := append(with, "PATH=/bin", k.variable()+"="+values[1])
		flag := "--" + k.flag()
		flags := parsed(t, flag+"="+values[2])

		given := make(map[string]bool)
		for _, v := range with {
			name, _, _ := strings.Cut(v, "=")
			given[name] = true
		}

		check := func(file string, fs *pflag.FlagSet, environ []string, want, source string) {
			t.Helper()
			c, err := Load(file, fs, environ)
			if err != nil {
				t.Errorf("%s: %v", k.name, err)
				return
			}
			for _, v := range c.Values() {
				switch {
				case v.Key == k.name && (want != "" && v.Value != want || v.Source.String() != source):
					t.Errorf("%s = %q from %s, want %q from %s", k.name, v.Value, v.Source, want, source)
				case v.Key != k.name && v.Source.String() != "default" && !given[v.Source.Name]:
					t.Errorf("%s given: %s comes from %s", k.name, v.Key, v.Source)
				}
			}
		}
		check("", parsed(t), nil, value(t, defaultConfig(t), k.name).Value, "default")
		check(path, nil, with, values[0], "file "+path)
		check(path, parsed(t), environ, values[1], "variable "+k.variable())
		check(path, flags, environ, values[2], "flag "+flag)
		check(path, flags, with, values[2], "flag "+flag)
		check("", flags, with, values[2], "flag "+flag)
	}
	if seen < 10 {
		t.Errorf("only %d keys", seen)
	}
}

// Google's key and the token for HTTP come from their variables, and are shown by nothing.
func TestSecrets(t *testing.T) {
	c, err := Load("", nil, []string{"HERD_PLACES_KEY=swordfish", "HERD_HTTP_TOKEN=swordfish2"})
	if err != nil || c.PlacesKey() != "swordfish" || c.HTTPToken() != "swordfish2" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, v := range c.Values() {
		if strings.Contains(fmt.Sprint(v), "swordfish") || v.Source.Kind != "default" {
			t.Errorf("%+v", v)
		}
	}
	if fs := parsed(t); fs.Lookup("places-key") != nil || fs.Lookup("http-token") != nil {
		t.Error("there is a flag for a secret")
	}
	_, err = Load(write(t, "places: {key: swordfish}"), nil, []string{"HERD_PLACES_KEY=swordfish", "HERD_PLACES_TIMEOUT=0"})
	if err == nil || strings.Contains(err.Error(), "swordfish") || !strings.Contains(err.Error(), "places.key: unknown key; put it into HERD_PLACES_KEY, or") {
		t.Error(err)
	}
	_, err = Load(write(t, "http: {token: swordfish, open: \"true\"}"), nil, []string{"HERD_HTTP_TOKENS=swordfish", "HERD_HTTP_PPROF=yes", "HERD_TRACE_ENDPOINT=http://u:swordfish@h"})
	for _, want := range []string{
		"http.token: unknown key; put it into HERD_HTTP_TOKEN, or into a file and write token_file: FILE",
		"http.open: is text, not true or false; remove the quotes",
		"HERD_HTTP_TOKENS: unknown variable; did you mean HERD_HTTP_TOKEN?",
		`HERD_HTTP_PPROF: http.pprof: "yes" is not true or false`,
		"HERD_TRACE_ENDPOINT: trace.endpoint: is not the URL of a collector; write for example http://127.0.0.1:4318",
	} {
		if err == nil || strings.Contains(err.Error(), "swordfish") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func defaultConfig(t testing.TB) *Config {
	t.Helper()
	c, err := Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEmptyVariableIsSet(t *testing.T) {
	path := write(t, `bus: {url: "nats://a"}`)
	c, err := Load(path, nil, []string{"HERD_BUS_URL="})
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, c, "bus.url"); got.Value != "" || got.Source.String() != "variable HERD_BUS_URL" {
		t.Errorf("bus.url = %q from %s", got.Value, got.Source)
	}
}

func TestFileVariable(t *testing.T) {
	one, two := write(t, "herd: one"), write(t, "herd: two")
	for _, test := range []struct{ file, variable, want string }{
		{"", one, "one"},
		{two, one, "two"},
		{"", "", "herd"},
	} {
		c, err := Load(test.file, nil, []string{"HERD_CONFIG=" + test.variable})
		if err != nil {
			t.Fatal(err)
		}
		if c.Herd != test.want {
			t.Errorf("--config %q, HERD_CONFIG=%q: herd %s, want %s", test.file, test.variable, c.Herd, test.want)
		}
	}
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(path, nil, []string{"HERD_LIMITS_RATE=x"})
	want := path + `: cannot be read: no such file or directory; check --config and HERD_CONFIG; ` +
		`HERD_LIMITS_RATE: limits.rate: "x" is not a whole number`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A file without nodes keeps those of the defaults; one with nodes brings its links too.
func TestNodesBringLinks(t *testing.T) {
	const solo = `nodes: [{name: Solo, listen: ":0"}]`
	for _, test := range []struct {
		file         string
		nodes, links int
		nodesFrom    string
		linksFrom    string
	}{
		{"", 5, 6, "default", "default"},
		{solo, 1, 0, "file", "file"},
		{solo + "\nlinks: []", 1, 0, "file", "file"},
		{"links: [[Goloman, Hands], [Hands, Holiday], [Holiday, Welsh], [Welsh, Wilkes]]", 5, 4, "default", "file"},
		{`nodes: [{name: A, listen: "a:1", http: "a:2"}, {name: B, listen: "[::1]:1"}]` + "\nlinks: [[A, B]]", 2, 1, "file", "file"},
	} {
		c, err := Load(write(t, test.file), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		if len(c.Nodes) != test.nodes || len(c.Links) != test.links ||
			len(c.Topology().Nodes()) != test.nodes || len(c.Topology().Links()) != test.links {
			t.Errorf("%s: nodes %v, links %v", test.file, c.Nodes, c.Links)
		}
		if n, l := value(t, c, "nodes").Source.Kind, value(t, c, "links").Source.Kind; n != test.nodesFrom || l != test.linksFrom {
			t.Errorf("%s: nodes from %s, links from %s", test.file, n, l)
		}
	}
}

// A file that sets nothing leaves the defaults, and other spellings of the same YAML mean the same.
func TestSameAsDefaults(t *testing.T) {
	want := fmt.Sprint(defaultConfig(t).Values())
	for _, file := range []string{"", "\n", "# nothing\n", "---\n", "---\n...\n", "{}", "~", "limits:\nbus:\n  # url: x\n", "\ufefflimits: {}"} {
		c, err := Load(write(t, file), nil, nil)
		if err != nil {
			t.Errorf("%q: %v", file, err)
		} else if got := fmt.Sprint(c.Values()); got != want {
			t.Errorf("%q: %s", file, got)
		}
	}
}

func TestAlias(t *testing.T) {
	c, err := Load(write(t, "limits: {line: &half 30m, write: *half}\nnodes: [{name: &n A, listen: &l \":0\", http: *l}]"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, c, "limits.write").Value; got != "30m" {
		t.Errorf("limits.write = %s", got)
	}
}

// A fault of a flag is wrong usage; one of a file or variable is not.
func TestUsage(t *testing.T) {
	for args, want := range map[string]bool{"--limits-rate=x": true, "--limits-rate=1": false} {
		_, err := Load("", parsed(t, args), []string{"HERD_LIMITS_QUEUE=0"})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Usage() != want {
			t.Errorf("%s: %v, want usage %t", args, err, want)
		}
	}
}

// A link may say how often at most its ends send each other a report of one client: both, or one of them.
func TestEvery(t *testing.T) {
	const file = `
nodes: [{name: A, listen: ":0"}, {name: B, listen: ":0"}, {name: C, listen: ":0"}, {name: D, listen: ":0"}]
links:
  - [A, B, {every: 10s}]
  - [B, C, {every: {C: 1m}}]
  - [C, D, {every: {D: 100ms, C: 24h}}]
  - [D, A, {}]
`
	const shown = "[[A, B, {every: 10s}], [B, C, {every: {C: 1m}}], [C, D, {every: {C: 24h, D: 100ms}}], [D, A]]"
	c, err := Load(write(t, file), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, c, "links").Value; got != shown {
		t.Errorf("links are %s, want %s", got, shown)
	}
	again, err := Load(write(t, file[:strings.Index(file, "links:")]+"links: "+shown), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Links, c.Links) || len(again.Fixed(c)) > 0 {
		t.Errorf("%+v is read as %+v", c.Links, again.Links)
	}
	for way, want := range map[[2]line.NodeName]time.Duration{
		{"A", "B"}: 10 * time.Second, {"B", "A"}: 10 * time.Second, {"B", "C"}: 0, {"C", "B"}: time.Minute,
		{"C", "D"}: 24 * time.Hour, {"D", "C"}: 100 * time.Millisecond, {"D", "A"}: 0, {"A", "C"}: 0,
	} {
		if got := c.Topology().Every(way[0], way[1]); got != want {
			t.Errorf("every %s from %s to %s, want %s", got, way[0], way[1], want)
		}
	}
	without, err := Load(write(t, strings.NewReplacer(", {every: 10s}", "", ", {every: {C: 1m}}", "", ", {every: {D: 100ms, C: 24h}}", "").Replace(file)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := c.Topology(), without.Topology(); a.Text() != b.Text() || a.Fingerprint() != b.Fingerprint() {
		t.Errorf("%s of %x, and without every %s of %x", a.Text(), a.Fingerprint(), b.Text(), b.Fingerprint())
	}
}
