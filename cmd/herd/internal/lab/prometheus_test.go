//go:build lab

package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"herd/configs"
)

const alerts = "configs/alerts.yaml"

// TestPromtool has Prometheus's own tool look at the alerts and their tests.
func TestPromtool(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", alerts}, {"test", "rules", "configs/alerts_test.yaml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
}

// TestPrometheus has Prometheus scrape a herd of two processes, and its alerts fire when one of them is killed.
func TestPrometheus(t *testing.T) {
	m := startMonitored(t)
	m.await("everything is scraped and up", `sum(herd_ready) + sum(herd_link_state{state="up"})`, 5+12)

	const reports = 300
	m.report(0, reports)
	m.await("all is known", `min(herd_clients)`, reports)
	m.report(4, reports) // of the same clients
	m.await("all is admitted", `sum(herd_reports_admitted_total)`, 2*reports)
	m.await("each of the four others learned it once", `sum(herd_link_reports_received_total) - sum(herd_link_reports_stale_total)`, 4*2*reports)
	m.await("no limit, no loss", `sum(herd_refused_total) + sum(herd_link_messages_missing_total) + sum(herd_link_reports_retransmitted_total)`, 0)
	m.await("what is sent is received", `sum(herd_link_reports_sent_total) == sum(herd_link_reports_received_total) and sum(herd_link_reports_owed) + sum(herd_link_in_flight_bytes) == 0`, -1)
	m.compare()
	m.lint()
	if loaded, rules := m.rules(), strings.Count(m.text, "- alert:"); loaded != rules || rules == 0 {
		t.Errorf("%d rules are loaded of %d", loaded, rules)
	}
	m.await("nothing fires", `count(ALERTS) or vector(0)`, 0)

	if err := m.welsh.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.await("the node is missed", fmt.Sprintf(`count(ALERTS{alertname="HerdNodeDown", alertstate="firing", instance=%q})`, m.nodes[3].HTTP), 1)
	m.await("and so is its link", `count(ALERTS{alertname="HerdLinkDown", alertstate="firing", node="Holiday", peer="Welsh"})`, 1)
	m.await("nothing else", `count(ALERTS{alertstate="firing"})`, 2)
}

// monitored is a herd and the Prometheus that scrapes it.
type monitored struct {
	*testing.T
	nodes      []configs.Node
	welsh      *exec.Cmd
	prometheus string // its URL
	text       string // of the alerts
}

func startMonitored(t *testing.T) *monitored {
	t.Helper()
	for _, program := range []string{"prometheus", "promtool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: make test-prometheus installs it", program)
		}
	}
	free := freeAddresses(t, 2)
	bus, prometheus := free[0], free[1]
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	h := newHerds(t, buildHerd(t), campusShape(t), fmt.Sprintf("bus: {listen: %q, keys: %q}\n", bus, keys))
	m := &monitored{T: t, nodes: h.nodes, prometheus: "http://" + prometheus}
	var targets []string
	for _, n := range h.nodes {
		targets = append(targets, n.HTTP)
	}
	if out, err := exec.Command(h.program, "bus", "keys", keys, "--config", h.file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.start(h.program, "up", "--only", "Goloman,Hands,Holiday,Wilkes", "--config", h.file)
	m.welsh = m.start(h.program, "node", "Welsh", "--bus-url", "nats://"+bus, "--config", h.file)

	text, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	m.text = string(text)
	rules := regexp.MustCompile(`for: \d+m`).ReplaceAllString(m.text, "for: 1s") // nobody wants to wait for a minute
	prometheusFile := m.write(dir, "prometheus.yaml", fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [%q]
scrape_configs:
  - job_name: herd
    static_configs: [{targets: ["%s"]}]
`, m.write(dir, "alerts.yaml", rules), strings.Join(targets, `", "`)))
	m.start("prometheus", "--config.file", prometheusFile, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", prometheus, "--log.level", "warn")
	return m
}

func (m *monitored) write(dir, name, text string) (path string) {
	m.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.Fatal(err)
	}
	return path
}

// start runs a program until the test ends.
func (m *monitored) start(program string, args ...string) *exec.Cmd {
	m.Helper()
	c := exec.Command(program, args...)
	c.Stderr, c.SysProcAttr = os.Stderr, endsWithTest
	if err := c.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
	})
	return c
}

// report has so many clients report to a node, and waits for the replies.
func (m *monitored) report(node, clients int) {
	m.Helper()
	at := time.Now().UnixNano()
	conn, err := net.Dial("tcp", m.nodes[node].Listen)
	if err != nil {
		m.Fatal(err)
	}
	defer conn.Close()
	var lines strings.Builder
	for i := range clients {
		fmt.Fprintf(&lines, "IAMAT client%d +34.068930-118.445127 %d.%09d\n", i, at/1e9, at%1e9)
	}
	if _, err := io.WriteString(conn, lines.String()); err != nil {
		m.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for range 2 * clients {
		if l, err := in.ReadString('\n'); err != nil || strings.HasPrefix(l, "?") {
			m.Fatalf("%q, %v", l, err)
		}
	}
}

// get returns what Prometheus's API answers.
func (m *monitored) get(path string, data any) error {
	answer, err := http.Get(m.prometheus + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(&struct{ Data any }{data})
}

type series struct {
	Metric map[string]string
	Value  [2]any
}

func (m *monitored) query(expression string) (found []series) {
	var data struct{ Result []series }
	_ = m.get("query?query="+url.QueryEscape(expression), &data) // it may not run yet
	return data.Result
}

// await returns when an expression has one value, which is a number, or any if that is negative.
func (m *monitored) await(what, expression string, want float64) {
	m.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(50 * time.Millisecond); ; <-tick {
		found := m.query(expression)
		if len(found) == 1 && (want < 0 || found[0].Value[1] == fmt.Sprint(want)) {
			return
		}
		if time.Now().After(deadline) {
			m.Fatalf("not in %s: %s: %s is %v, want %v; alerts are %v", patience, what, expression, found, want, m.query("ALERTS"))
		}
	}
}

// compare compares what was scraped with the nodes' health, and the two ends of each link.
func (m *monitored) compare() {
	m.Helper()
	sent, received := make(map[string]string), make(map[string]string)
	for _, s := range m.query("herd_link_reports_sent_total") {
		sent[s.Metric["node"]+">"+s.Metric["peer"]] = s.Value[1].(string)
	}
	for _, s := range m.query("herd_link_reports_received_total") {
		received[s.Metric["peer"]+">"+s.Metric["node"]] = s.Value[1].(string)
	}
	links := 0
	for _, n := range m.nodes {
		for _, l := range health(n).Links {
			links++
			way := string(n.Name) + ">" + l.Peer
			if count := fmt.Sprint(l.ReportsSent); sent[way] != count || received[way] != count {
				m.Errorf("%s: %s sent by JSON; %q sent and %q received by metrics", way, count, sent[way], received[way])
			}
		}
	}
	if links != 12 || len(sent) != links || len(received) != links {
		m.Errorf("%d ends of links, %d and %d in metrics", links, len(sent), len(received))
	}
}

// lint has promtool check the metrics of a node.
func (m *monitored) lint() {
	m.Helper()
	answer, err := http.Get("http://" + m.nodes[0].HTTP + "/metrics")
	if err != nil {
		m.Fatal(err)
	}
	defer answer.Body.Close()
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = answer.Body
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		m.Errorf("promtool check metrics: %v: %s", err, out)
	}
}

// rules counts the alerts that are loaded and evaluated without an error.
func (m *monitored) rules() (well int) {
	m.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := m.get("rules", &data); err != nil {
		m.Fatal(err)
	}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				m.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
			well++
		}
	}
	return well
}
