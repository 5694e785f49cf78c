//go:build lab

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herd/configs"
	"herd/node/status"
)

// natsVersions are the NATS servers with which herd is run: the oldest that takes the configurations that herd makes, and the last of some
// later lines. The one before is run to see that a node warns of it.
var natsVersions = []string{"2.1.2", "2.5.0", "2.7.3", "2.8.4", debianNATS, "2.9.25", "2.10.29", "2.11.17", "2.12.15", "2.15.2"}

// debianNATS is the version in Debian 12, which is installed from there.
const debianNATS = "2.9.10"

// natsServers are NATS servers of one version, joined in some way.
type natsServers struct {
	name  string
	files func(t *testing.T, dir, herd string, ports []string) (configurations []string)
	keys  bool // nodes have keys
}

// closedServer has the configuration of 'herd bus keys'.
func closedServer(args ...string) func(t *testing.T, dir, herd string, ports []string) []string {
	return func(t *testing.T, dir, herd string, ports []string) []string {
		args := slices.Concat([]string{"bus", "keys", filepath.Join(dir, "keys"), "--hosts", "127.0.0.1", "--listen", ports[0]}, args)
		if out, err := exec.Command(herd, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return []string{filepath.Join(dir, "keys", "servers", "nats", "nats-server.conf")}
	}
}

// pair has two servers without permissions, each with what joins it to the other: %[1]s and %[2]s are the addresses of the first and the
// second at which they do so.
func pair(first, second string) func(t *testing.T, dir, herd string, ports []string) []string {
	return func(t *testing.T, dir, _ string, ports []string) (all []string) {
		for i, join := range []string{first, second} {
			path := filepath.Join(dir, fmt.Sprintf("nats-%d.conf", i))
			text := fmt.Sprintf("server_name: \"nats-%d\"\nlisten: %q\n", i, ports[i]) + strings.NewReplacer("FIRST", ports[2], "SECOND", ports[3]).Replace(join)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			all = append(all, path)
		}
		return all
	}
}

var natsJoined = []natsServers{
	{"keys", closedServer("--observer"), true},
	{"keys, TLS", closedServer("--tls"), true},
	{"certificates", closedServer("--mode", "mtls"), true},
	{"cluster", pair(
		`cluster { name: "c", listen: "FIRST", routes: [] }`,
		`cluster { name: "c", listen: "SECOND", routes: ["nats-route://FIRST"] }`), false},
	{"leaf node", pair(
		`leafnodes { listen: "FIRST" }`,
		`leafnodes { remotes: [{ url: "nats-leaf://FIRST" }] }`), false},
	{"gateway", pair(
		`gateway { name: "A", listen: "FIRST", gateways: [{ name: "B", url: "nats://SECOND" }] }`,
		`gateway { name: "B", listen: "SECOND", gateways: [{ name: "A", url: "nats://FIRST" }] }`), false},
}

// The five servers of the campus, two of them at the second NATS server if there is one, catch up and know of a client that reported to one
// of them, with each version of the NATS server, and warn of a version that is too old.
func TestNATSVersions(t *testing.T) {
	herd := buildHerd(t)
	var table strings.Builder
	table.WriteString("| NATS server |")
	for _, s := range natsJoined {
		table.WriteString(" " + s.name + " |")
	}
	table.WriteString("\n|---|" + strings.Repeat("---|", len(natsJoined)) + "\n")
	for _, version := range natsVersions {
		server := installNATS(t, version)
		table.WriteString("| " + version + " |")
		for _, s := range natsJoined {
			result := "–"
			t.Run(version+" "+s.name, func(t *testing.T) { result = runOnNATS(t, herd, server, version, s) })
			table.WriteString(" " + result + " |")
		}
		table.WriteString("\n")
	}
	t.Log("\n" + table.String())
}

// installNATS returns the path of a NATS server.
func installNATS(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "nats-server")
	install := exec.Command("go", "install", "github.com/nats-io/nats-server/v2@v"+version)
	if version == debianNATS {
		install = exec.Command("sh", "-c", "apt-get download -qq nats-server="+version+"'*' && dpkg -x nats-server_*.deb . && mv usr/sbin/nats-server .")
	}
	install.Dir, install.Env = dir, append(os.Environ(), "GOBIN="+dir)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// runOnNATS returns a cell of the table.
func runOnNATS(t *testing.T, herd, server, version string, s natsServers) string {
	dir := t.TempDir()
	ports := freeAddresses(t, 4)
	files := s.files(t, dir, herd, ports)
	if out, err := exec.Command(server, "-t", "-c", files[0]).CombinedOutput(); err != nil {
		if version != natsVersions[0] {
			t.Errorf("the configuration is refused: %s", out)
		}
		return "refuses the configuration"
	}
	for _, f := range files {
		startLogged(t, exec.Command(server, "-c", f))
	}
	config, err := configs.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	addresses := freeAddresses(t, 2*len(config.Nodes))
	var nodes []configs.Node
	var logs []string
	for i, n := range config.Nodes {
		n.Listen, n.HTTP = addresses[2*i], addresses[2*i+1]
		nodes = append(nodes, n)
		at := ports[0]
		if len(files) > 1 && i >= 3 {
			at = ports[1]
		}
		args := []string{"node", string(n.Name), "--bus-url", "nats://" + at, "--listen", n.Listen, "--http", n.HTTP, "--log-level", "warn"}
		if s.keys {
			args = append(args, "--keys", filepath.Join(dir, "keys"))
		}
		logs = append(logs, startLogged(t, exec.Command(herd, args...)))
	}
	every := func(what string, holds func(status.Health) bool) {
		t.Helper()
		if _, ok := poll(patience, func() bool {
			return !slices.ContainsFunc(nodes, func(n configs.Node) bool { return !holds(health(n)) })
		}); !ok {
			t.Fatalf("not every server %s", what)
		}
	}
	every("has caught up", func(h status.Health) bool {
		return h.Bus == "connected" && len(h.Links) > 0 && !slices.ContainsFunc(h.Links, func(l status.Link) bool { return l.State != "up" })
	})
	if out, err := exec.Command(herd, "iamat", "kiwi", "+34.068930-118.445127", "1520023934", "--addr", nodes[4].Listen).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	every("knows of the client and has refused nothing", func(h status.Health) bool { return h.Clients == 1 && len(h.Refused) == 0 })
	old := version == natsVersions[0]
	for i, path := range logs {
		text, err := os.ReadFile(path)
		if warned := strings.Contains(string(text), "older than herd supports"); err != nil || warned != old {
			t.Errorf("%s warned of the version: %v, %v", nodes[i].Name, warned, err)
		}
	}
	if old {
		return "runs, with a warning"
	}
	return "runs"
}

// startLogged starts a program that runs until the test ends, and returns the file in which it writes.
func startLogged(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr, command.SysProcAttr = log, log, endsWithTest
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%v:\n%s%v", command.Args, text, err)
		}
	})
	return log.Name()
}
