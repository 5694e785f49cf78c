//go:build lab

package lab

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"herd/cmd/herd/internal/doctest"
)

// TestCompose is a life of the stack of docker-compose.yml, as somebody who types these commands sees it. Each part finds the
// stack as the one before left it, so the first failure ends it.
func TestCompose(t *testing.T) {
	for _, kind := range []string{"ps --all", "volume ls", "network ls"} {
		args := append(strings.Fields(kind), "--quiet", "--filter", "label=com.docker.compose.project=herd")
		if there := docker(t, args...); there != "" {
			t.Fatalf("this engine has a project herd already, which the test would take down; see docker %s", kind)
		}
	}
	defer func() {
		if t.Failed() {
			t.Log(run("docker", "compose", "--profile", "cluster", "ps", "--all"))
			t.Log(run("docker", "compose", "--profile", "cluster", "logs", "--tail", "10"))
		}
		compose(t, "--profile", "cluster", "down", "--volumes", "--rmi", "local")
	}()
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{"up", testUp},
		{"document", testDocument},
		{"closed", testClosed},
		{"keys", testKeys},
		{"demo", testDemo},
		{"eight messages", testEightMessages},
		{"observer", testObserver},
		{"rogue route", testRogueRoute},
		{"add a node", testAddNode},
		{"partition", testPartition},
		{"node paused", testNodePaused},
		{"node killed", testNodeKilled},
		{"node ends", testNodeEnds},
		{"node restarted", testNodeRestarted},
		{"NATS paused", testNATSPaused},
		{"NATS killed", testNATSKilled},
		{"NATS restarted", testNATSRestarted},
		{"down and up with a cluster", testDownAndUp},
		{"cluster", testCluster},
		{"down with volumes", testFresh},
		{"heal", testHeal},
		{"places", testPlaces},
	} {
		if !t.Run(part.name, part.test) {
			return
		}
	}
}

// The page about containers shows what its commands print.
func testDocument(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	page, err := doctest.Read("docs/containers.md")
	if err != nil {
		t.Fatal(err)
	}
	page.Test(t, doctest.Run{Root: root, Name: "TestCompose", Env: []string{"COMPOSE_FILE=" + filepath.Join(root, "docker-compose.yml")}})
}

func testUp(t *testing.T) {
	compose(t, "up", "--wait")
	if got, want := services(t), running("nats"); !slices.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	if size := inspect[int](t, "herd-goloman", ".Size"); size > 50_000_000 {
		t.Errorf("the image has %d bytes", size)
	}
	for i, n := range published { // the pages are published, for this machine alone
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", 8125+i), nil)
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]int{r.Host: http.StatusOK, "evil.example": http.StatusMisdirectedRequest} {
			r.Host = host
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatalf("%s: %v", n.name, err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s, asked for as %s, answers %s", n.name, host, answer.Status)
			}
		}
	}
	before := docker(t, "ps", "--quiet")
	compose(t, "up", "--wait")
	if after := docker(t, "ps", "--quiet"); after != before {
		t.Errorf("a second up runs containers %q instead of %q", after, before)
	}
}

var skew = regexp.MustCompile(`[+-][0-9]+\.[0-9]{9} `)

// The stack answers what 'herd up' answers, byte for byte but for the skew.
func testDemo(t *testing.T) {
	docker(t, "run", "--detach", "--rm", "--name", "herd-test-up", "herd-goloman", "up")
	defer docker(t, "rm", "--force", "--volumes", "herd-test-up")
	eventually(t, patience, func() error {
		_, err := run("docker", "exec", "herd-test-up", "/herd", "health")
		return err
	})
	const client, position, sent = "kiwi.cs.ucla.edu", "+34.068930-118.445127", "1520023934.918963997"
	for _, tt := range []struct{ server, request, command string }{
		{"Goloman", "IAMAT " + client + " " + position + " " + sent, "iamat " + client + " " + position + " " + sent},
		{"Welsh", "WHATSAT " + client + " 10 5", "whatsat " + client + " 10 5"},
		{"Hands", "WHATSAT " + client + " 0.5 20", "whatsat " + client + " 0.5 20"},
		{"Wilkes", "WHATSAT " + client + " 0 0", "whatsat " + client + " 0 0"},
	} {
		var up string
		eventually(t, patience, func() (err error) { // until the report has come there, and the gazetteer is read
			up, err = run("docker", append([]string{"exec", "herd-test-up", "/herd"},
				append(strings.Fields(tt.command), "--node", tt.server)...)...)
			return err
		})
		var here string
		eventually(t, patience, func() (err error) {
			here, err = sendLines(tt.server, tt.request+"\n")
			if got, want := skew.ReplaceAllString(here, "SKEW "), skew.ReplaceAllString(up, "SKEW "); err == nil && got != want {
				err = fmt.Errorf("%s answers %q, herd up %q", tt.request, got, want)
			}
			return err
		})
		if !strings.HasPrefix(here, "AT Goloman ") {
			t.Errorf("%s answers %q", tt.request, here)
		}
	}
	if got, want := mustSendLines(t, "Holiday", "HELLO\n\nAT x\n"), "? HELLO\n? \n? AT x\n"; got != want {
		t.Errorf("invalid lines are answered %q, want %q", got, want)
	}
	at := report(t, "Goloman", client)
	reaches(t, client, at, everyone()...)
	floods(t, client)
}

// A report costs eight messages, and an observer receives them.
func testEightMessages(t *testing.T) {
	seen := observe(t, busURL).subscribe(t, "herd.propagate.>") // and no heartbeats
	at := report(t, "Hands", "emu")
	reaches(t, "emu", at, everyone()...)
	// On each link, the report of the emu comes before that of the server's own mark.
	for _, n := range published {
		report(t, n.name, "mark-"+n.name)
	}
	var sent []string
	for marks := 0; marks < 2*links; {
		m := next(t, "message", seen)
		for text := range strings.Lines(string(m.Data)) {
			fields := strings.Fields(text)
			if len(fields) != 7 || fields[0] != "PROPAGATE" || !strings.HasPrefix(m.Subject, "herd.propagate."+fields[1]+".") {
				t.Fatalf("on %s: %q", m.Subject, text)
			}
			switch fields[4] {
			case "mark-" + fields[1]:
				marks++
			case "emu":
				sent = append(sent, m.Subject)
				if want := "PROPAGATE " + fields[1] + strings.TrimPrefix(at, "AT"); strings.TrimSuffix(text, "\n") != want {
					t.Errorf("on %s: %q, want %q", m.Subject, text, want)
				}
			}
		}
	}
	if len(sent) != 8 {
		t.Errorf("%d messages: %q", len(sent), sent)
	}
}
