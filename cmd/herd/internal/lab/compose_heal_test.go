//go:build lab

package lab

import (
	"cmp"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"herd/node/status"
)

// How long it takes to heal, and to notice a silent cut, is printed and not judged: it depends on what else the machine does. The scenarios of
// package node hold herds to their two and four seconds in fake time.
const (
	manyStale = 10_000                 // clients
	frozen    = 6 * time.Second        // longer than silence may last
	durable   = 100 * time.Millisecond // after it, what was acknowledged outlives its server
)

// testHeal begins with a stack that knows of the kea alone. Whatever is done to it then, in the end all servers know the same, and all that was acknowledged to clients.
func testHeal(t *testing.T) {
	l := newHistory()
	l.whole = true
	at, err := known("Goloman", "kea")
	if err := cmp.Or(err, l.note(at)); err != nil {
		t.Fatal(err)
	}
	for _, s := range everyone() {
		l.report(t, s, named("all", few)...)
		l.report(t, s, named(s, few)...)
	}
	l.settles(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *history)
	}{
		{"cut in four", testCutInFour},
		{"ten thousand stale", testTenThousand},
		{"node killed", testKilledUnderLoad},
		{"frozen under load", testFrozenUnderLoad},
		{"NATS killed under load", testNATSKilledUnderLoad},
		{"silent cut", testSilentCut},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.test(t, l) }) {
			return
		}
	}
}

func named(what string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", what, i))
	}
	return names
}

// cut disconnects a server from the bus.
func cut(t *testing.T, server string) {
	t.Helper()
	docker(t, "network", "disconnect", "herd_bus", container(server))
}

// heal connects a server to the bus again.
func heal(t *testing.T, server string) {
	t.Helper()
	docker(t, "network", "connect", "--alias", strings.ToLower(server), "herd_bus", container(server))
}

// healed waits until all servers are equal, and logs how long it took.
func (l *history) healed(t *testing.T, what string) {
	t.Helper()
	took := l.settles(t)
	t.Logf("%s: equal within %.2f s", what, took.Seconds())
}

// Holiday and Wilkes are cut off, which leaves four parts: them, Welsh, and Goloman with Hands. All accept reports, of clients of their own
// and of the same ones.
func testCutInFour(t *testing.T, l *history) {
	cut(t, "Holiday")
	cut(t, "Wilkes")
	connected(t, false, "Holiday", "Wilkes")
	for _, s := range everyone() {
		l.report(t, s, named("new-at-"+s, 200)...)
		l.report(t, s, named("all", 400)...)
	}
	for i, s := range everyone() { // so the newest of some are in one part, of others in another
		l.report(t, s, named("all", 300-50*i)...)
	}
	heal(t, "Holiday")
	heal(t, "Wilkes")
	l.healed(t, "four parts, 1,000 clients new in one, 400 moved in all")
}

// While Holiday and Wilkes are cut off, ten thousand clients move that they know.
func testTenThousand(t *testing.T, l *history) {
	move := func() {
		t.Helper()
		lines := named("moving", manyStale)
		for i := range lines {
			lines[i] += fmt.Sprintf(" -33.856784+151.215297 %d", 1520023934+moment.Add(1))
		}
		l.stream(t, "Goloman", lines)
	}
	move()
	l.settles(t)
	cut(t, "Holiday")
	cut(t, "Wilkes")
	connected(t, false, "Holiday", "Wilkes")
	move()
	heal(t, "Holiday")
	heal(t, "Wilkes")
	l.healed(t, fmt.Sprintf("%d stale clients at Holiday, Wilkes and Welsh", manyStale))
}

// Wilkes, alone, accepts reports until it is killed; meanwhile the others accept reports as well. When it is back, it is ready only when it has
// what they have, and they receive what it had on disk.
func testKilledUnderLoad(t *testing.T, l *history) {
	cut(t, "Wilkes")
	connected(t, false, "Wilkes")
	l.report(t, "Wilkes", named("alone", 200)...)
	time.Sleep(durable) // what its promise is about
	f := l.flow(t)
	l.report(t, "Hands", named("elsewhere", 2000)...)
	killed := time.Now()
	docker(t, "kill", container("Wilkes"))
	f.end("Wilkes")
	t.Logf("%d reports were accepted by Wilkes in the last %s", l.mayLose("Wilkes", killed.Add(-durable)), durable)
	l.report(t, "Goloman", named("alone", 100)...)
	heal(t, "Wilkes")
	docker(t, "start", container("Wilkes"))
	var h status.Health
	eventually(t, patience, func() (err error) {
		if h, err = containerHealth("Wilkes"); err == nil && !h.Ready {
			err = fmt.Errorf("%+v", h)
		}
		return err
	})
	l.holds(t, "Wilkes") // at once
	t.Logf("ready within %.2f s, with %d clients", h.UptimeSeconds, h.Clients)
	l.healed(t, "Wilkes is ready")
	healthy(t, "Wilkes")
}

// Holiday, then NATS, freezes for longer than silence may last, while clients report at all servers.
func testFrozenUnderLoad(t *testing.T, l *history) {
	f := l.flow(t)
	for _, service := range []string{"Holiday", "nats"} {
		docker(t, "pause", container(service))
		time.Sleep(frozen) // which is what is done to it
		docker(t, "unpause", container(service))
	}
	f.linksUp()
	f.end()
	l.healed(t, "the last report")
}

func testNATSKilledUnderLoad(t *testing.T, l *history) {
	f := l.flow(t)
	docker(t, "kill", container("nats"))
	connected(t, false, everyone()...)
	docker(t, "start", container("nats"))
	f.linksUp()
	f.end()
	l.healed(t, "the last report")
}

// inNetwork returns a function that runs a command with a container's network interfaces, which the container itself may not change.
func inNetwork(t *testing.T, service string) func(command string) {
	t.Helper()
	name := "herd-test-" + strings.ToLower(service)
	docker(t, "run", "--detach", "--name", name, "--network", "container:"+container(service), "--cap-drop", "ALL", "--cap-add", "NET_ADMIN",
		"golang:1.26-alpine", "sh", "-c", "while sleep 1; do :; done")
	t.Cleanup(func() { docker(t, "rm", "--force", "--volumes", name) })
	return func(command string) {
		t.Helper()
		docker(t, "exec", name, "sh", "-c", command)
	}
}

func addressOnBus(t *testing.T, service string) string {
	t.Helper()
	return inspect[string](t, container(service), ".NetworkSettings.Networks.herd_bus.IPAddress")
}

var linkDown = regexp.MustCompile(`(?m)^(\S+)  [A-Z]+  \w+  link down  `)

// downSince returns how long it was from a moment until the last link of servers was down, by their logs.
func downSince(t *testing.T, moment time.Time, servers ...string) (took time.Duration) {
	t.Helper()
	for _, s := range servers {
		log, err := exec.Command("docker", "logs", "--since", moment.Format(time.RFC3339Nano), container(s)).CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		entries := linkDown.FindAllSubmatch(log, -1)
		if len(entries) == 0 {
			t.Logf("%s has logged no link that is down since: under load it was down before", s)
			continue
		}
		at, err := time.Parse(time.RFC3339, string(entries[len(entries)-1][1]))
		if err != nil {
			t.Fatal(err)
		}
		took = max(took, at.Sub(moment))
	}
	return took
}

// What is sent between Holiday and NATS vanishes, first without load and then under load. Both sides notice.
func testSilentCut(t *testing.T, l *history) {
	atHoliday, atNATS := inNetwork(t, "Holiday"), inNetwork(t, "nats")
	holiday, nats := addressOnBus(t, "Holiday"), addressOnBus(t, "nats")
	silent := func(t *testing.T) {
		t.Helper()
		began := time.Now()
		atHoliday("arp -s " + nats + " 02:00:00:00:00:01") // where nobody is
		atNATS("arp -s " + holiday + " 02:00:00:00:00:01")
		eventually(t, patience, func() error {
			return cmp.Or(linked("down", "Holiday", "Goloman", "Welsh", "Wilkes"), linked("down", "", "Holiday"))
		})
		others, itself := downSince(t, began, "Goloman", "Welsh", "Wilkes"), downSince(t, began, "Holiday")
		t.Logf("a silent cut is noticed by others within %.2f s, by Holiday within %.2f s", others.Seconds(), itself.Seconds())
	}
	ended := func() {
		t.Helper()
		atHoliday("arp -d " + nats)
		atNATS("arp -d " + holiday)
	}
	t.Run("idle", func(t *testing.T) {
		silent(t)
		l.report(t, "Holiday", named("all", 200)...)
		l.report(t, "Goloman", named("all", 100)...)
		ended()
		l.healed(t, "packets arrive again")
	})
	t.Run("under load", func(t *testing.T) {
		f := l.flow(t)
		silent(t)
		ended()
		f.linksUp()
		f.end()
		l.healed(t, "the last report")
	})
}
