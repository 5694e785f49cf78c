package main

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"
)

// JSON is one object a line, from which the bytes of the line can be had again, and of which nothing but text reaches a terminal.
func TestWatchJSON(t *testing.T) {
	w := startWire(t, "127.0.0.1:0")
	defer w.stop()
	r := start(t, nil, "watch", "--config", w.config, "--json", "--color", "always")
	r.next(r.stderr)
	w.send("PROPAGATE Oak Oak +0.263873386 kiwi<&> +34.068930-118.445127 1520023934.918963997\n" +
		"PROPAGATE Oak Pine -1.000000000 k\u009b\U000e0001\x7f\u00e9 -0+0.50 01\n" + hostile + "bad \x1b[2J\nbad \xff\n")
	for _, want := range []string{
		`"origin":"Oak","skew":"+0.263873386","client":"kiwi<&>","position":"+34.068930-118.445127","lat":34.06893,"lon":-118.445127,"report_time":"1520023934.918963997"}`,
		`"origin":"Pine","skew":"-1.000000000","client":"k\u009b\udb40\udc01\u007fé","position":"-0+0.50","lat":-0,"lon":0.5,"report_time":"01"}`,
		`"origin":"Oak","skew":"+0.000000001","client_base64":"axtbMzFt/w==","position":"+1+1","lat":1,"lon":1,"report_time":"1"}`,
		`"line":"bad \u001b[2J"}`,
		`"line_base64":"YmFkIP8="}`,
	} {
		got := r.next(r.stdout)
		var object struct {
			Time    time.Time
			Subject string
		}
		if err := json.Unmarshal([]byte(got), &object); err != nil || time.Since(object.Time) > patience {
			t.Errorf("printed %q: %v", got, err)
		}
		want = `","subject":"wood.propagate.Oak.Elm-2","from":"Oak","to":"Elm-2",` + want + "\n"
		at, text := got[:len(`{"time":"2026-11-22T12:04:17.341000000Z`)], got[len(`{"time":"2026-11-22T12:04:17.341000000Z`):]
		if text != want || !regexp.MustCompile(`^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$`).MatchString(at) {
			t.Errorf("printed %q, want a time and %q", got, want)
		}
	}
}

func TestWatchFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--raw", "--json"}, "herd: --raw, --json and --path exclude each other; give one of them\n"},
		{[]string{"--json", "--path", "a"}, "herd: --raw, --json and --path exclude each other; give one of them\n"},
		{[]string{"--path", "a", "--to", "Welsh"}, "herd: --path follows a client over all links; leave out --from, --to and --client\n"},
		{[]string{"--path", "a", "--client", "a"}, "herd: --path follows a client over all links; leave out --from, --to and --client\n"},
		{[]string{"--color", "sometimes"}, "herd: invalid argument \"sometimes\" for \"--color\" flag: must be one of auto, always, never; see 'herd watch --help'\n"},
	} {
		if code, stdout, stderr := herd(t, "", append([]string{"watch"}, tt.args...)...); code != exitUsage || stdout != "" || stderr != tt.want {
			t.Errorf("%q: exit code %d, printed %q, printed the error %q, want %q", tt.args, code, stdout, stderr, tt.want)
		}
	}
}
