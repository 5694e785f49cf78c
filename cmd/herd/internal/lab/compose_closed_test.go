//go:build lab

package lab

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

type mount struct {
	Name, Destination string
	RW                bool
}

// Containers can do no more than they must.
func testClosed(t *testing.T) {
	closed := func(who string, wantMounts []mount, wantNetworks ...string) {
		t.Helper()
		type limits struct {
			ReadonlyRootfs, Privileged bool
			CapAdd, CapDrop            []string
			SecurityOpt                []string
			Memory                     int64
			RestartPolicy              struct{ Name string }
		}
		host := inspect[limits](t, container(who), ".HostConfig")
		if user := inspect[string](t, container(who), ".Config.User"); user != "65532:65532" || !host.ReadonlyRootfs || host.Privileged || host.CapAdd != nil ||
			!slices.Equal(host.CapDrop, []string{"ALL"}) || !slices.Equal(host.SecurityOpt, []string{"no-new-privileges:true"}) ||
			host.Memory == 0 || host.RestartPolicy.Name != "unless-stopped" {
			t.Errorf("%s: user %q, %+v", who, user, host)
		}
		mounts := inspect[[]mount](t, container(who), ".Mounts")
		slices.SortFunc(mounts, func(a, b mount) int { return strings.Compare(a.Destination, b.Destination) })
		if !slices.Equal(mounts, wantMounts) {
			t.Errorf("%s: mounts %v, want %v", who, mounts, wantMounts)
		}
		var networks []string
		for name := range inspect[map[string]any](t, container(who), ".NetworkSettings.Networks") {
			networks = append(networks, name)
		}
		if slices.Sort(networks); !slices.Equal(networks, wantNetworks) {
			t.Errorf("%s: networks %q, want %q", who, networks, wantNetworks)
		}
		for port, bound := range inspect[map[string][]struct{ HostIP string }](t, container(who), ".NetworkSettings.Ports") {
			for _, b := range bound {
				if b.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s is published at %s", who, port, b.HostIP)
				}
			}
		}
	}
	for _, n := range published {
		volume := "herd_" + strings.ToLower(n.name)
		closed(n.name, []mount{
			{volume, "/data", true},
			{strings.Replace(volume, "_", "_keys-", 1), "/keys/nodes/" + n.name, false},
		}, "herd_bus", "herd_clients")
		archived(t, container(n.name)+":/data", func(head *tar.Header, _ []byte) {
			if head.Name == "data/" && (head.Uid != 65532 || head.Gid != 65532) {
				t.Errorf("%s: /data belongs to %d:%d", n.name, head.Uid, head.Gid)
			}
		})
	}
	closed("nats", []mount{{"herd_keys-route-1", "/etc/nats", false}}, "herd_bus", "herd_observers", "herd_routes")
}

// copied returns the files below a path of a container, by name.
func copied(t *testing.T, from string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	archived(t, from, func(head *tar.Header, text []byte) {
		if head.Typeflag == tar.TypeReg {
			files[head.Name] = string(text)
		}
	})
	return files
}

// archived calls visit with a path of a container and all that is below it.
func archived(t *testing.T, from string, visit func(*tar.Header, []byte)) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "docker", "cp", from, "-")
	archive, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(archive); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		visit(head, text)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
}

// seeds returns the seed of each node, and checks that it is all that the node's container has of /keys.
func seeds(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, n := range published {
		files, path := copied(t, container(n.name)+":/keys"), "keys/nodes/"+n.name+"/seed"
		if seed := files[path]; len(files) != 1 || !strings.HasPrefix(seed, "SU") {
			t.Fatalf("%s has %q, want one seed", n.name, files)
		}
		all[n.name] = files[path]
	}
	return all
}

// identity returns how to connect with a seed.
func identity(t *testing.T, seed string) nats.Option {
	t.Helper()
	key, err := nkeys.FromSeed([]byte(strings.TrimSpace(seed)))
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return nats.Nkey(public, key.Sign)
}

func testKeys(t *testing.T) {
	before := seeds(t)
	different := make(map[string]bool)
	for _, seed := range before {
		different[seed] = true
	}
	if len(different) != len(published) {
		t.Errorf("%d nodes have %d seeds", len(published), len(different))
	}
	for name, text := range copied(t, container("nats")+":/etc/nats") {
		if strings.Contains(text, "SU") && slices.ContainsFunc(everyone(), func(n string) bool { return strings.Contains(text, strings.TrimSpace(before[n])) }) {
			t.Errorf("%s of the NATS server has a node's seed", name)
		}
	}
}

// An observer can publish nothing, and receives nothing of sync, which may carry whole registries.
func testObserver(t *testing.T) {
	o := observe(t, busURL)
	seen := o.subscribe(t, "herd.>")
	const forged = "PROPAGATE Hands Hands +0.000000001 forged +1+1 1\n"
	for _, subject := range []string{"herd.propagate.Hands.Goloman", "herd.sync.Hands.Goloman", "elsewhere"} {
		if err := o.Publish(subject, []byte(forged)); err != nil {
			t.Fatal(err)
		}
		if err := next(t, "refusal", o.refused); !strings.Contains(err.Error(), `Publish to "`+subject+`"`) {
			t.Errorf("publishing on %s: %v", subject, err)
		}
	}
	for _, subject := range []string{"herd.sync.>", "herd.sync.Goloman.Hands", ">", "elsewhere"} {
		o.subscribe(t, subject)
		if err := next(t, "refusal", o.refused); !strings.Contains(err.Error(), `Subscription to "`+subject+`"`) {
			t.Errorf("subscribing to %s: %v", subject, err)
		}
	}
	goloman := observe(t, busURL, identity(t, seeds(t)["Goloman"]))
	for _, subject := range []string{"herd.sync.Goloman.Hands", "herd.heartbeat.Goloman.Hands"} {
		if err := goloman.Publish(subject, []byte("not a heartbeat")); err != nil {
			t.Fatal(err)
		}
	}
	for last := ""; last != "herd.heartbeat.Goloman.Hands"; {
		if last = next(t, "message", seen).Subject; strings.HasPrefix(last, "herd.sync.") {
			t.Errorf("the observer sees %s", last)
		}
	}
	wantKnown(t, "forged", "", everyone()...)
}

// A node is added: the others keep their keys, and NATS accepts it without a restart.
func testAddNode(t *testing.T) {
	before := seeds(t)
	file := filepath.Join(t.TempDir(), "six.yaml")
	nodes := make([]string, 0, 6)
	for i, n := range append(everyone(), "Koala") {
		nodes = append(nodes, fmt.Sprintf("{name: %s, listen: \":%d\"}", n, 12125+i))
	}
	text := "nodes: [" + strings.Join(nodes, ", ") + "]\n" +
		"links: [[Goloman, Hands], [Goloman, Holiday], [Goloman, Wilkes], [Hands, Wilkes], [Holiday, Welsh], [Holiday, Wilkes], [Welsh, Koala]]\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	const once = "herd-test-keys"
	command := inspect[[]string](t, container("keys"), ".Config.Cmd")
	compose(t, append([]string{"run", "--name", once, "--volume", file + ":/six.yaml:ro", "--volume", "/keys/nodes/Koala", "keys"},
		append(command, "--config", "/six.yaml")...)...)
	defer docker(t, "rm", "--force", "--volumes", once)
	key := identity(t, copied(t, once+":/keys/nodes/Koala/seed")["seed"])
	if _, err := nats.Connect(busURL, key); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("NATS does not know the new node yet, and answers %v", err)
	}
	compose(t, "kill", "--signal", "HUP", "nats")
	var koala *nats.Conn
	eventually(t, patience, func() (err error) {
		koala, err = nats.Connect(busURL, key)
		return err
	})
	koala.Close()
	if !maps.Equal(seeds(t), before) {
		t.Error("nodes have other seeds")
	}
	compose(t, "up", "--wait") // the topology of before
	if !maps.Equal(seeds(t), before) {
		t.Error("nodes have other seeds")
	}
	if conf := copied(t, container("nats")+":/etc/nats/nats-server.conf")["nats-server.conf"]; !strings.Contains(conf, "Welsh") || strings.Contains(conf, "Koala") {
		t.Errorf("the NATS server is configured by\n%s", conf)
	}
}
