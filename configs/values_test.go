package configs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"":                                    "",
		"nats://h:1":                          "nats://h:1",
		"nats://user:pass@h:1,tls://h":        "nats://***@h:1,tls://h",
		"tls://token@h, nats://u:a@b@[::1]:4": "tls://***@h, nats://***@[::1]:4",
	} {
		c, err := Load("", nil, []string{"HERD_BUS_URL=" + url})
		if err != nil {
			t.Fatal(err)
		}
		if got := value(t, c, "bus.url").Value; got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
		if c.Bus.URL != url {
			t.Errorf("%s was changed to %s", url, c.Bus.URL)
		}
	}
}

func TestValuesJSON(t *testing.T) {
	c, err := Load("", parsed(t, "--bus-url=nats://u:swordfish@h"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(value(t, c, "bus.url"))
	want := `{"key":"bus.url","value":"nats://***@h","source":"flag --bus-url"}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// What Values returns, given as variables and lists in a file, gives the same configuration.
func TestRoundTrip(t *testing.T) {
	for _, file := range []string{"herd.yaml", "ring.yaml", "regions.yaml"} {
		first, err := Load(file, parsed(t, "--limits-idle=0", "--limits-line=1h0m1s", "--places-timeout=1500us", "--log-dir= a: #b\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		var lists strings.Builder
		var environ []string
		for i, v := range first.Values() {
			if configKeys[i].scalar() {
				environ = append(environ, configKeys[i].variable()+"="+v.Value)
			} else {
				fmt.Fprintf(&lists, "%s: %s\n", v.Key, v.Value)
			}
		}
		if got := strings.Count(lists.String(), "\n"); got != 2 {
			t.Errorf("%s: lists on %d lines:\n%s", file, got, lists.String())
		}
		again, err := Load(write(t, lists.String()), nil, environ)
		if err != nil {
			t.Fatal(err)
		}
		first.sources, again.sources = nil, nil
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%s: got  %+v\nwant %+v", file, again, first)
		}
	}
}

func TestShowDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Hour: "1h", 10 * time.Minute: "10m", time.Minute: "1m", 20 * time.Second: "20s",
		time.Hour + time.Second: "1h0m1s", 90 * time.Minute: "1h30m", 1500 * time.Microsecond: "1.5ms",
	} {
		if got := format(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
		if back, err := parseDuration(format(d)); back != d || err != nil {
			t.Errorf("%s reads as %v, %v", format(d), back, err)
		}
	}
}

func TestAddFlags(t *testing.T) {
	names := func(keys ...string) string {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		AddFlags(fs, keys...)
		var list []string
		fs.VisitAll(func(f *pflag.Flag) { list = append(list, f.Name) })
		return strings.Join(list, " ")
	}
	for keys, want := range map[string]string{
		"":             "bus-keys bus-listen bus-micro bus-url herd http-hosts http-observe http-open http-pprof http-token-file limits-catch-up limits-connections limits-future limits-idle limits-line limits-new-clients limits-per-address limits-rate limits-retention limits-write log-dir log-format log-level places-endpoint places-fallback places-fields places-file places-key-file places-provider places-rate places-timeout store-dir store-mode tls-ca tls-cert tls-clients tls-key trace-endpoint trace-one-in",
		"log":          "log-dir log-format log-level",
		"bus.url herd": "bus-url herd",
	} {
		if got := names(strings.Fields(keys)...); got != want {
			t.Errorf("AddFlags(%s) = %s, want %s", keys, got, want)
		}
	}
	for _, bad := range []string{"nodes", "links", "lim", "bus.", "", "nodes.name"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AddFlags(%q) did not panic", bad)
				}
			}()
			names(bad)
		}()
	}
}

func TestFlagHelp(t *testing.T) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs, "limits.idle", "limits.rate", "log.level")
	want := `
      --limits-idle duration   time without a line from a client, 0: unlimited (default 1h)
      --limits-rate number     lines per second of a connection, 0: unlimited
      --log-level text         least severe level: debug, info, warn or error (default info)
`
	if got := "\n" + fs.FlagUsages(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}

	// the help of all flags is at most 100 columns wide
	fs = pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	for usage := range strings.Lines(fs.FlagUsages()) {
		if len(usage) > len("\n")+100 {
			t.Errorf("%d columns: %s", len(usage)-1, usage)
		}
	}
}

// A running process can change live keys only.
func TestFixed(t *testing.T) {
	next, err := Load("", nil, []string{"HERD_LOG_LEVEL=warn", "HERD_LIMITS_RATE=7", "HERD_STORE_DIR=elsewhere", "HERD_LOG_FORMAT=json"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := defaultConfig(t).Fixed(next), []string{"store.dir", "log.format"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := next.Fixed(next); got != nil {
		t.Errorf("%q differ from themselves", got)
	}
}
