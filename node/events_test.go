package node

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus/bustest"
	"herd/node/line"
	"herd/node/session/sessiontest"
)

// watch requests events from a listener in memory. What comes is the answer's status, and a function that returns the next event of one of
// these names, as its lines.
func watch(t testing.TB, l *sessiontest.Listener, query string) (code int, next func(names ...string) string, stop func()) {
	t.Helper()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.Dial(t).Conn, nil }}
	answer, err := (&http.Client{Transport: transport}).Get("http://localhost/api/v1/events" + query)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(answer.Body)
	next = func(names ...string) string {
		t.Helper()
		for {
			var text strings.Builder
			for {
				l, err := in.ReadString('\n')
				if err != nil {
					return err.Error()
				}
				if l == "\n" {
					break
				}
				text.WriteString(l)
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(text.String(), "event: "), "\n")
			if slices.Contains(names, name) {
				return text.String()
			}
		}
	}
	return answer.StatusCode, next, func() { _ = answer.Body.Close() }
}

// startWatched runs Goloman and Hands, who are neighbours, and lets both be looked at.
func startWatched(t *testing.T) (m *bustest.Memory, goloman, hands *testNode, looks [2]*sessiontest.Listener) {
	m, looks = bustest.NewMemory(), [2]*sessiontest.Listener{sessiontest.NewListener(), sessiontest.NewListener()}
	adjust := func(l net.Listener) func(*Config) {
		return func(c *Config) { c.HTTP, c.HerdName, c.Version, c.Status.Open = l, "herd", "1", true }
	}
	goloman = startNode(t, "Goloman", []line.NodeName{"Hands"}, m.Dialer("Goloman"), nil, adjust(looks[0]))
	hands = startNode(t, "Hands", []line.NodeName{"Goloman"}, m.Dialer("Hands"), nil, adjust(looks[1]))
	time.Sleep(2 * time.Second) // both have received of each other
	return m, goloman, hands, looks
}

// What a client says shows at its node and at the neighbour, on the link between them from both ends.
func TestEventsOverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, goloman, hands, looks := startWatched(t)
		_, here, stop := watch(t, looks[0], "?client=k%FF")
		defer stop()
		_, there, stop2 := watch(t, looks[1], "")
		defer stop2()
		const hello = "event: hello\n" + `data: {"node":"Goloman","herd":"herd","version":"1","observing":false,"why":"there is no observer",` +
			`"topology":{"nodes":[{"name":"Goloman","x":0,"y":0},{"name":"Hands","x":1,"y":0}],"links":[["Goloman","Hands"]],"self":"Goloman"}}` + "\n"
		if got := here("hello", "health", "nodes"); got != hello {
			t.Errorf("first comes %q", got)
		}
		client := goloman.listener.Dial(t)
		client.Send("IAMAT k\xff +34.068930-118.445127 946684802\n")
		client.Line()
		const (
			clients = "event: clients\n" + `data: {"left_out":0,"total":1,"clients":[{"id":"k\ufffd","id_base64":"a/8=","origin":"Goloman","skew":"+0.000000000",` +
				`"position":"+34.068930-118.445127","lat":34.06893,"lon":-118.445127,"time":"946684802","age_seconds":0.25,` +
				`"line":"AT Goloman +0.000000000 k\ufffd +34.068930-118.445127 946684802"}]}` + "\n"
			messages = "event: messages\n" + `data: {"left_out":0,"links":[{"from":"Goloman","to":"Hands","reports":1}],"reports":[` +
				`{"at":946684802000,"from":"Goloman","to":"Hands","client":"k\ufffd","id_base64":"a/8=","origin":"Goloman","time":"946684802"}]}` + "\n"
			path = "event: path\n" + `data: {"at":946684802000,"from":"Goloman","to":"Hands","origin":"Goloman","time":"946684802"}` + "\n"
		)
		for _, each := range []struct {
			next func(names ...string) string
			want []string
		}{{here, []string{clients, messages, path}}, {there, []string{clients, messages}}} {
			for _, want := range each.want {
				if got := each.next("clients", "messages", "path"); got != want {
					t.Errorf("told is  %q\nand not %q", got, want)
				}
			}
		}

		// A cut shows, and its end.
		m.Cut("Hands", "Goloman")
		if got := here("notice"); !strings.HasSuffix(got, `"kind":"link down","peer":"Hands","text":"silent"}`+"\n") {
			t.Errorf("the cut is told as %q", got)
		}
		m.Heal("Hands", "Goloman")
		for _, want := range []string{"link returned", "link up"} {
			if got := here("notice"); !strings.Contains(got, `"kind":"`+want+`","peer":"Hands"`) {
				t.Errorf("the return is told as %q", got)
			}
		}

		// A new topology is an event, and the last viewer leaves nothing behind.
		goloman.Relink(starTopology(t, "Goloman", "Hands", "Welsh"))
		if got := here("hello"); !strings.Contains(got, `"links":[["Goloman","Hands"],["Goloman","Welsh"]]`) {
			t.Errorf("then comes %q", got)
		}
		stop()
		synctest.Wait()
		if goloman.watch.Load() != nil {
			t.Error("Goloman tells somebody who is gone")
		}
		began := time.Now()
		hands.stop()
		if got := there("none"); got != io.EOF.Error() && got != io.ErrUnexpectedEOF.Error() {
			t.Errorf("the stream of a node that ends ends with %q", got)
		}
		if took := time.Since(began); took > 10*time.Millisecond { // in which [http.Server.Shutdown] looks at most twice
			t.Errorf("its end waits %s for who watches", took)
		}
	})
}

// A stream lasts; a viewer that reads nothing is disconnected after 10 s, and one viewer too many is refused.
func TestViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, goloman, _, looks := startWatched(t)
		slow := looks[0].Dial(t)
		slow.Send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		synctest.Wait()
		if goloman.watch.Load() == nil {
			t.Error("nobody watches")
		}
		time.Sleep(10*time.Second - 1)
		if synctest.Wait(); goloman.watch.Load() == nil {
			t.Error("who takes nothing is cut off too early")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); goloman.watch.Load() != nil {
			t.Error("who takes nothing is not cut off")
		}

		_, next, stop := watch(t, looks[0], "")
		began := time.Now()
		for range 60 {
			if got := next("health"); !strings.Contains(got, "Goloman") {
				t.Fatalf("after %s: %q", time.Since(began), got)
			}
		}
		var stops []func()
		for range 31 {
			code, _, stop := watch(t, looks[0], "")
			if code != http.StatusOK {
				t.Errorf("one of 32 gets %d", code)
			}
			stops = append(stops, stop)
		}
		for query, want := range map[string]int{"": http.StatusServiceUnavailable, "?client=a+b": http.StatusBadRequest} {
			code, _, stop := watch(t, looks[0], query)
			if code != want {
				t.Errorf("the 33rd with %q gets %d", query, code)
			}
			stops = append(stops, stop)
		}
		for _, s := range append(stops, stop) {
			s()
		}
		for range 1000 { // whatever one of them left behind, the bubble would not end
			_, next, stop := watch(t, looks[0], "?client=kiwi")
			next("hello")
			stop()
		}
		if synctest.Wait(); goloman.watch.Load() != nil {
			t.Error("Goloman tells those who are gone")
		}
	})
}
