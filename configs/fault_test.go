package configs

import (
	"strings"
	"testing"
)

// The faults of bad input, word for word; FILE stands for the path.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name, file    string
		environ, args []string
		want          []string
	}{
		{name: "values of another type", file: `
herd: 12
limits:
  rate: "5"
  connections: 1.5
  per_address: many
  new_clients: [1]
  idle: false
log: {level: 5, format: null, dir: {a: b}}
`, want: []string{
			`FILE:2: herd: is not text; put it in quotes`,
			`FILE:4: limits.rate: is text, not a number; remove the quotes`,
			`FILE:5: limits.connections: "1.5" is not a whole number`,
			`FILE:6: limits.per_address: "many" is not a whole number`,
			`FILE:7: limits.new_clients: is not a single value; write a number`,
			`FILE:8: limits.idle: "false" is not a duration; write for example 500ms, 30s, 5m or 24h`,
			`FILE:9: log.level: is not text; put it in quotes`,
			`FILE:9: log.format: has no value; write one or remove the key`,
			`FILE:9: log.dir: is not a single value; write a text`,
		}},
		{name: "values out of range", file: `
herd: "a b"
bus: {listen: 4222}
places: {timeout: 0}
limits: {idle: 60, line: -5s, write: 1d, rate: -1, connections: 99999999999999999999}
log: {level: loud, format: xml}
`, want: []string{
			`FILE:2: herd: "a b" is not a name; write 1 to 32 letters, digits, _ or -`,
			`FILE:3: bus.listen: is not text; put it in quotes`,
			`FILE:4: places.timeout: "0" is too small; write for example 2s`,
			`FILE:5: limits.idle: "60" has no unit; write for example 30s, 5m or 24h`,
			`FILE:5: limits.line: "-5s" is negative; write 0 or more`,
			`FILE:5: limits.write: "1d" is not a duration; write for example 500ms, 30s, 5m or 24h`,
			`FILE:5: limits.rate: "-1" is negative; write 0 or more`,
			`FILE:5: limits.connections: "99999999999999999999" is out of range`,
			`FILE:6: log.level: "loud" is not one of debug, info, warn, error`,
			`FILE:6: log.format: "xml" is not one of console, json`,
		}},
		{name: "unknown keys", file: `
Bus: {url: ""}
retention: 5h
limit: {idle: 1h}
limits: {idel: 1h, Rate: 5, url: x}
limits.line: 1s
nodes:
  - {name: A, listen: ":1", HTTP: "", port: 5}
memory: 1h
"a;\nb": 1
? [x]
: 1
`, want: []string{
			`FILE:2: Bus: unknown key; did you mean bus?`,
			`FILE:3: retention: unknown key; did you mean limits.retention?`,
			`FILE:4: limit: unknown key; did you mean limits?`,
			`FILE:5: limits.idel: unknown key; did you mean limits.idle?`,
			`FILE:5: limits.Rate: unknown key; did you mean limits.rate?`,
			`FILE:5: limits.url: unknown key; did you mean bus.url?`,
			`FILE:6: limits.line: has a dot; write OUTER: {INNER: VALUE}`,
			`FILE:8: nodes[0].HTTP: unknown key; did you mean http?`,
			`FILE:8: nodes[0].port: unknown key; remove it`,
			`FILE:9: memory: unknown key; remove it`,
			`FILE:10: "a;\nb": unknown key; remove it`,
			`FILE:11: has a key that is not a word; remove it`,
		}},
		{name: "doubled keys", file: "herd: a\nlimits: {rate: 1, rate: 2}\nherd: b\n", want: []string{
			`FILE:2: limits.rate: is given twice; remove one`,
			`FILE:3: herd: is given twice; remove one`,
		}},
		{name: "entries of nodes and links", file: `
nodes:
  - {listen: "127.0.0.1", http: "x:99999"}
  - Welsh
  - {name: 5, listen: "a b:1", http: ":http"}
  - {name: A}
  -
links: [A, [A, B, C], [A, 5], {A: B}]
`, want: []string{
			`FILE:3: nodes[0].listen: "127.0.0.1" is not HOST:PORT; write for example 127.0.0.1:12125`,
			`FILE:3: nodes[0].http: "x:99999" has no valid port; write a number from 0 to 65535 after the host`,
			`FILE:3: nodes[0].name: is missing; every node needs a name`,
			`FILE:4: nodes[1]: is not a mapping; write KEY: VALUE`,
			`FILE:5: nodes[2].name: is not text; put it in quotes`,
			`FILE:5: nodes[2].listen: "a b:1" has no valid host; write a host name or an IP address before the port`,
			`FILE:5: nodes[2].http: ":http" has no valid port; write a number from 0 to 65535 after the host`,
			`FILE:6: nodes[3].listen: is missing; write HOST:PORT, the address for clients`,
			`FILE:7: nodes[4].name: is missing; every node needs a name`,
			`FILE:7: nodes[4].listen: is missing; write HOST:PORT, the address for clients`,
			`FILE:8: links[0]: is not a pair of names; write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]`,
			`FILE:8: links[1]: is not a pair of names; write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]`,
			`FILE:8: links[2]: is not text; put it in quotes`,
			`FILE:8: links[3]: is not a pair of names; write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]`,
		}},
		{name: "what follows the names of a link", file: `
nodes: [{name: A, listen: ":0"}, {name: B, listen: ":0"}]
links:
  - [A, B, {every: 10, ever: 1s}]
  - [A, B, {every: 99ms}]
  - [A, B, {every: 25h, every: 10s}]
  - [A, B, {every: "-1s"}]
  - [A, B, {every: {A: 0s, C: 1s, A: 1s, "B": soon}}]
  - [A, B, {every: [10s]}]
  - [A, B, {every: }]
  - [A, B, 10s]
  - [A, B, {every: 10s}, {every: 10s}]
`, want: []string{
			`FILE:4: links[0].every: "10" has no unit; write for example 30s, 5m or 24h`,
			`FILE:4: links[0].ever: unknown key; did you mean links[0].every?`,
			`FILE:5: links[1].every: "99ms" is not 100ms to 24h`,
			`FILE:6: links[2].every: "25h" is not 100ms to 24h`,
			`FILE:6: links[2].every: is given twice; remove one`,
			`FILE:7: links[3].every: "-1s" is negative; write 0 or more`,
			`FILE:8: links[4].every.A: "0s" is not 100ms to 24h`,
			`FILE:8: links[4].every.C: is not of an end of the link; write A, B or both`,
			`FILE:8: links[4].every.A: is given twice; remove one`,
			`FILE:8: links[4].every.B: "soon" is not a duration; write for example 500ms, 30s, 5m or 24h`,
			`FILE:9: links[5].every: is not a single value; write a duration`,
			`FILE:10: links[6].every: has no value; write one or remove the key`,
			`FILE:11: links[7]: is not a pair of names; write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]`,
			`FILE:12: links[8]: is not a pair of names; write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]`,
		}},
		{name: "lists that are none", file: "nodes: A\nlinks:\nbus: x\n", want: []string{
			`FILE:1: nodes: is not a list; write - {name: NAME, listen: "HOST:PORT"} for each node`,
			`FILE:2: links: is not a list; write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]`,
			`FILE:3: bus: is not a mapping; write KEY: VALUE`,
		}},
		{name: "topology and addresses", file: `
nodes:
  - {name: A, listen: "localhost:1", http: ":7"}
  - {name: "B\n", listen: "LocalHost:01", http: ":0"}
  - {name: A, listen: ":0", http: ":7"}
links: [[A, C], [A, A]]
`, want: []string{
			`FILE: nodes[1].listen: "LocalHost:01" is the address of nodes[0].listen too; give each its own`,
			`FILE: nodes[2].http: ":7" is the address of nodes[0].http too; give each its own`,
			`FILE: nodes and links: node name "B\n" is not 1 to 32 letters, digits, '_' or '-'`,
			`FILE: nodes and links: node A is given twice`,
			`FILE: nodes and links: link A–C: no node is named "C"`,
			`FILE: nodes and links: link A–A joins a node to itself`,
		}},
		{name: "island among the default nodes", file: "links: [[Goloman, Hands], [Holiday, Wilkes], [Hands, Wilkes]]", want: []string{
			`FILE: nodes and links: no link joins Welsh to Goloman`,
		}},
		{name: "no nodes", file: "nodes: []", want: []string{`FILE: nodes and links: no nodes`}},
		{name: "YAML syntax, a mapping begun", file: "herd: a\nbus: {url: \nlog: [}\n", want: []string{`FILE:2: is not YAML: did not find expected ',' or '}'`}},
		{name: "YAML syntax, a stray end", file: "herd: a\nbus:\n  url: x\n}\n", want: []string{`FILE:4: is not YAML: did not find expected key`}},
		{name: "YAML syntax, first line", file: "herd: 'a'b", want: []string{`FILE:1: is not YAML: did not find expected key`}},
		{name: "YAML syntax, two colons", file: "herd: a\nbus: url: x\n", want: []string{`FILE:2: is not YAML: mapping values are not allowed in this context`}},
		{name: "YAML syntax, second document", file: "herd: 5\n---\n}", want: []string{
			`FILE:1: herd: is not text; put it in quotes`, `FILE:3: is not YAML: did not find expected node content`,
		}},
		{name: "a tab", file: "bus:\n\turl: x\n", want: []string{`FILE:2: is not YAML: found character that cannot start any token`}},
		{name: "not text", file: "herd: \xff", want: []string{`FILE: is not YAML: invalid leading UTF-8 octet`}},
		{name: "a list", file: "- herd", want: []string{`FILE:1: is not a mapping; write KEY: VALUE`}},
		{name: "two documents", file: "herd: a\n---\nherd: b\n", want: []string{`FILE:2: has a second document; remove it`}},
		{name: "variables", environ: []string{
			"HERD_BUS_URI=x", "HERD_RETENTION=1", "HERD_NODES=[]", "HERD_SECRET=swordfish", "HERD_bus_url=", "herd_x=1", "HERDX=1",
			"HERD_LIMIT_NEW_CLIENTS=1", "HERD_LIMITS_IDLE=60", "HERD_LIMITS_LINE=", "HERD_LIMITS_RATE=1e3", "HERD_HERD=",
		}, want: []string{
			`HERD_BUS_URI: unknown variable; did you mean HERD_BUS_URL?`,
			`HERD_HERD: herd: "" is not a name; write 1 to 32 letters, digits, _ or -`,
			`HERD_LIMITS_IDLE: limits.idle: "60" has no unit; write for example 30s, 5m or 24h`,
			`HERD_LIMITS_LINE: limits.line: "" is not a duration; write for example 500ms, 30s, 5m or 24h`,
			`HERD_LIMITS_RATE: limits.rate: "1e3" is not a whole number`,
			`HERD_LIMIT_NEW_CLIENTS: unknown variable; did you mean HERD_LIMITS_NEW_CLIENTS?`,
			`HERD_NODES: nodes: come from a file only; name it with --config or HERD_CONFIG`,
			`HERD_RETENTION: unknown variable; did you mean HERD_LIMITS_RETENTION?`,
			`HERD_SECRET: unknown variable; remove it`,
			`HERD_bus_url: unknown variable; did you mean HERD_BUS_URL?`,
		}},
		{name: "every source", file: "limits: {rate: many}", environ: []string{"HERD_LIMITS_RATE=1.5"}, args: []string{"--limits-rate=-1", "--log-level", "no"}, want: []string{
			`FILE:1: limits.rate: "many" is not a whole number`,
			`HERD_LIMITS_RATE: limits.rate: "1.5" is not a whole number`,
			`--limits-rate: limits.rate: "-1" is negative; write 0 or more`,
			`--log-level: log.level: "no" is not one of debug, info, warn, error`,
		}},
		{name: "a password in the wrong place", file: "bus: {nats://u:swordfish@h}\nherd: nats://u:swordfish@h", environ: []string{"HERD_BUS_LISTEN=nats://u:swordfish@h:4222"}, want: []string{
			`FILE:1: "***@h": unknown key; remove it`,
			`FILE:2: herd: "***@h" is not a name; write 1 to 32 letters, digits, _ or -`,
			`HERD_BUS_LISTEN: bus.listen: "***@h:4222" is not HOST:PORT; write for example 127.0.0.1:12125`,
		}},
		{name: "a certificate without its key", environ: []string{"HERD_TLS_CERT=c"}, want: []string{
			`HERD_TLS_CERT: tls.cert: has no private key; give its file as tls.key too`,
		}},
		{name: "a key without its certificate", args: []string{"--tls-key=k"}, want: []string{
			`--tls-key: tls.key: has no certificate; give its file as tls.cert too`,
		}},
		{name: "clients' certificates without TLS", file: "tls: {clients: require}", want: []string{
			`FILE: tls.clients: require needs TLS; give the server's certificate and key as tls.cert and tls.key`,
			`FILE: tls.clients: require needs to know whose certificates count; give the file of their CAs as tls.ca`,
		}},
		{name: "a CA that nobody asks for", file: "tls: {cert: c, key: k, ca: a}", want: []string{
			`FILE: tls.ca: has no effect while no client needs a certificate; set tls.clients to require, or remove it`,
		}},
		{name: "TLS with a fault of its own, beside one in the topology", file: "tls: {clients: sometimes, ca: a}\nlinks: 5", want: []string{
			`FILE:1: tls.clients: "sometimes" is not one of none, require`,
			`FILE:2: links: is not a list; write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]`,
		}},
		{name: "places", file: `
places: {provider: bing, endpoint: "https://maps.example/api?key=swordfish", fields: "rating,reviews", rate: -1, fallback: google}
`, environ: []string{"HERD_PLACES_ENDPOINT=https://u:swordfish@maps.example", "HERD_PLACES_KEYS=swordfish"}, args: []string{"--places-endpoint=maps.example"}, want: []string{
			`FILE:2: places.provider: "bing" is not one of gazetteer, file, google, google-legacy, overpass`,
			`FILE:2: places.endpoint: has more than host and path; write https://HOST/PATH, and a key into a file or HERD_PLACES_KEY`,
			`FILE:2: places.fields: "reviews" is not one of rating, userRatingCount, priceLevel, currentOpeningHours`,
			`FILE:2: places.rate: "-1" is negative; write 0 or more`,
			`FILE:2: places.fallback: "google" is not one of gazetteer, none`,
			`HERD_PLACES_ENDPOINT: places.endpoint: has more than host and path; write https://HOST/PATH, and a key into a file or HERD_PLACES_KEY`,
			`HERD_PLACES_KEYS: unknown variable; did you mean HERD_PLACES_KEY?`,
			`--places-endpoint: places.endpoint: is not a URL; write https://HOST or https://HOST/PATH`,
		}},
		{name: "overpass without an endpoint", file: "places: {provider: overpass}", want: []string{
			`FILE: places.endpoint: overpass needs one, for public instances are not meant for this; give the URL of yours, which ends in /api`,
		}},
		{name: "a file without its name", environ: []string{"HERD_PLACES_PROVIDER=file"}, want: []string{
			`HERD_PLACES_PROVIDER: places.file: the provider file needs one; make it with 'herd places import'`,
		}},
		{name: "long text", file: "limits: {rate: " + strings.Repeat("x", 100) + "}", want: []string{
			`FILE:1: limits.rate: "` + strings.Repeat("x", 64) + `"… is not a whole number`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.file)
			_, err := Load(path, parsed(t, test.args...), test.environ)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.ReplaceAll(err.Error(), path, "FILE")
			if want := strings.Join(test.want, "; "); got != want {
				t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(got, "; FILE", ";\nFILE"), strings.Join(test.want, ";\n"))
			}
		})
	}
}

// The faults of a bus URL, which never show any of it.
func TestServers(t *testing.T) {
	for url, want := range map[string]string{
		"nats://h": "",
		"tls://user:p%2Fw@h:1, nats://[::1]:4222": "",
		"nats://token@h":         "",
		"h:4222":                 "server 1 is of another scheme than nats and tls; write nats://HOST:PORT",
		"nats://a,http://u:pw@h": "server 2 is of another scheme than nats and tls; write nats://HOST:PORT",
		"nats://a,":              "server 2 is empty; remove the comma",
		"nats://u:pw@":           "server 1 has no host; write nats://HOST:PORT",
		"tls://":                 "server 1 has no host; write tls://HOST:PORT",
		"nats:h":                 "server 1 has no host; write nats://HOST:PORT",
		"nats://u:p/w@h":         "server 1 is not a URL; write nats://HOST:PORT, and special characters of a password as %XX",
		"nats://u:1/w@h":         "server 1 goes on after its host and port; remove that, and write special characters of a password as %XX",
		"nats://u:1#w@h":         "server 1 goes on after its host and port; remove that, and write special characters of a password as %XX",
		"nats://h?":              "server 1 goes on after its host and port; remove that, and write special characters of a password as %XX",
		"nats://u:pw@h:0":        "server 1 has no valid port; write a number from 1 to 65535, or none for 4222",
		"nats://u:pw@h:":         "server 1 has no valid port; write a number from 1 to 65535, or none for 4222",
		"nats://u:pw@h:65536":    "server 1 has no valid port; write a number from 1 to 65535, or none for 4222",
	} {
		if want != "" {
			want = "HERD_BUS_URL: bus.url: " + want
		}
		got := ""
		if _, err := Load("", nil, []string{"HERD_BUS_URL=" + url}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", url, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, test := range []struct{ unknown, want string }{
		{"", ""}, {"x", ""}, {"per-adress", "limits.per_address"}, {"URL", "bus.url"}, {strings.Repeat("rates", 99), ""},
	} {
		if got := nearest(test.unknown, []string{"bus.url", "limits.per_address"}); got != test.want {
			t.Errorf("nearest(%.20q) = %q, want %q", test.unknown, got, test.want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "axc", 1}, {"kitten", "sitting", 3}, {"A.b-c", "a_b_c", 0}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
