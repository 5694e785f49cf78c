//go:build lab

package lab

import (
	"cmp"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The servers query an Overpass server in the same network, real objects of Andorra replayed, and do without it when it fails.
func testPlaces(t *testing.T) {
	program := filepath.Join(t.TempDir(), "replay")
	t.Setenv("CGO_ENABLED", "0") // the image has no libraries
	if _, err := run("go", "build", "-o", program, "./places/placestest/cmd"); err != nil {
		t.Fatal(err)
	}
	const provider = "herd-test-overpass"
	docker(t, "run", "--detach", "--rm", "--name", provider, "--network", "herd_clients", "--network-alias", "overpass",
		"--publish", "127.0.0.1::8080", "--volume", program+":/replay:ro", "--entrypoint", "/replay", "herd-goloman")
	defer docker(t, "rm", "--force", "--volumes", provider)
	address := strings.Fields(docker(t, "port", provider, "8080"))[0]
	behave := func(fault string) {
		t.Helper()
		eventually(t, patience, func() error {
			r, err := http.Post("http://"+address+"/behave?fault="+fault, "", nil)
			if err == nil {
				err = cmp.Or(r.Body.Close(), statusError(r))
			}
			return err
		})
	}
	behave("well")

	t.Setenv("HERD_PLACES_PROVIDER", "overpass")
	t.Setenv("HERD_PLACES_ENDPOINT", "http://overpass:8080/api")
	compose(t, "up", "--wait")
	// Each row queries another point, for answers are remembered.
	here := func(meters int) string { return fmt.Sprintf("+42.50%02d+1.5218", 60+meters/11) }
	wantPlaces := func(server, client, at, source string, names ...string) {
		t.Helper()
		began := time.Now()
		reply := mustSendLines(t, server, fmt.Sprintf("IAMAT %s %s %d\nWHATSAT %s 1 5\n", client, at, 1520023934+moment.Add(1), client))
		took := time.Since(began)
		if !strings.HasPrefix(reply, "AT "+server+" ") || strings.Count(reply, "AT "+server+" ") != 2 || !strings.HasSuffix(reply, "}\n\n") {
			t.Errorf("%s replied %q", server, reply)
		}
		for _, want := range append(names, source, `"status": "OK"`) {
			if !strings.Contains(reply, want) {
				t.Errorf("%s: no %s in %s", client, want, reply)
			}
		}
		if took > 2*time.Second+500*time.Millisecond { // places.timeout, and a busy machine
			t.Errorf("%s was answered after %s", client, took)
		}
	}
	wantPlaces("Goloman", "gazelle", here(0), "© OpenStreetMap contributors", `"name": "Font de Govern"`, `"place_id": "node/`)
	wantPlaces("Wilkes", "wombat", here(11), "© OpenStreetMap contributors", `"name": "Font de Govern"`)
	behave("slow-headers")
	wantPlaces("Goloman", "gorilla", here(22), "GeoNames", "overpass: no answer within 1.8s; these are places of the gazetteer", "Andorra la Vella")
	behave("remark")
	wantPlaces("Hands", "heron", here(33), "GeoNames", "overpass: runtime error: Query timed out", "Andorra la Vella")
	docker(t, "kill", provider)
	wantPlaces("Welsh", "weasel", here(44), "GeoNames", "overpass: ", "Andorra la Vella")
	wantPlaces("Goloman", "gazelle", here(0), "© OpenStreetMap contributors", `"name": "Font de Govern"`) // remembered
}

// statusError returns the status of a response as an error, unless it is 200.
func statusError(r *http.Response) error {
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", r.Status)
	}
	return nil
}
