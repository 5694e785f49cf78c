//go:build lab

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"herd/bus/subject"
	"herd/node/status"
)

// wanConfig is the campus, whose server Welsh is behind an uplink.
const wanConfig = `nodes:
  - {name: Goloman, listen: "127.0.0.1:12125", http: "127.0.0.1:8125"}
  - {name: Hands, listen: "127.0.0.1:12126", http: "127.0.0.1:8126"}
  - {name: Holiday, listen: "127.0.0.1:12127", http: "127.0.0.1:8127"}
  - {name: Welsh, listen: "127.0.0.1:12128", http: "127.0.0.1:8128"}
  - {name: Wilkes, listen: "127.0.0.1:12129", http: "127.0.0.1:8129"}
links: [[Goloman, Hands], [Goloman, Holiday], [Goloman, Wilkes], [Hands, Wilkes], [Holiday, Welsh], [Holiday, Wilkes]]
log: {level: warn}
`

// leafConfig is that of the NATS leaf node beside Welsh. Without ping_interval it would notice a cut after minutes; its other two times are
// a second unless they are set, which is too short for a round trip of 1,200 ms.
const leafConfig = `listen: "127.0.0.1:4222"
http: "` + monitorHTTP + `"
ping_interval: "5s"
leafnodes: {remotes: [{url: "nats://` + hubAddress + `:7422", dial_timeout: "4s", first_info_timeout: "10s"}]}
`

const (
	golomanListen = "127.0.0.1:12125"
	welshListen   = "127.0.0.1:12128"
	holidayHTTP   = "127.0.0.1:8127"
	welshHTTP     = "127.0.0.1:8128"
	monitorHTTP   = "127.0.0.1:8222" // of the NATS server to which Welsh connects
)

// wanOptions say how a herd is built around an uplink.
type wanOptions struct {
	leaf  bool // Welsh connects to a NATS leaf node beside it, which connects to the hub
	store bool // Welsh has a store
	tls   bool // connections to the NATS server are encrypted, and each node has a key
}

// wan is a herd of which four servers and a NATS server are at the hub of an uplink, and Welsh is at its far end.
type wan struct {
	*uplink
	wanOptions
	t         *testing.T
	program   string // herd
	folder    string
	client    map[*site]*http.Client
	killWelsh func()
	received  [3]atomic.Int64 // bytes of payload towards Welsh by kind, in the order of payloadKinds
}

// payloadKinds are the kinds of messages whose payload is counted.
var payloadKinds = [3]subject.Kind{subject.Propagate, subject.Sync, subject.Heartbeat}

// newWAN starts all that is at the hub. Welsh and its leaf node are started by startFar.
func newWAN(t *testing.T, program string, options wanOptions) *wan {
	t.Helper()
	w := &wan{uplink: newUplink(t), wanOptions: options, t: t, program: program, folder: t.TempDir()}
	w.client = make(map[*site]*http.Client)
	for _, s := range []*site{w.hub, w.far} {
		w.client[s] = &http.Client{Transport: &http.Transport{DialContext: s.dial}, Timeout: patience}
	}
	w.write("herd.yaml", wanConfig)
	w.startNATS(w.hub, w.natsConfig())
	w.hub.start(exec.Command(program, w.flags(w.hub, "up", "--only", "Goloman,Hands,Holiday,Wilkes")...))
	w.await("the hub is connected", patience, func() bool { return w.holiday().Bus == "connected" })
	if !options.tls {
		w.observe()
	}
	return w
}

func (w *wan) path(name string) string { return filepath.Join(w.folder, name) }

func (w *wan) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// natsConfig returns the configuration that herd makes for the NATS server at the hub. Unless connections are encrypted,
// everybody may do everything, so that messages can be counted and a leaf node can connect.
func (w *wan) natsConfig() string {
	w.t.Helper()
	args := []string{"bus", "keys", w.path("keys"), "--config", w.path("herd.yaml")}
	args = append(args, "--listen", hubAddress+":4222", "--monitor", monitorHTTP)
	if w.tls {
		args = append(args, "--tls", "--hosts", hubAddress)
	}
	if output, err := exec.Command(w.program, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("herd bus keys: %v: %s", err, output)
	}
	text, err := os.ReadFile(w.path("keys/servers/nats/nats-server.conf"))
	if err != nil {
		w.t.Fatal(err)
	}
	if w.tls {
		return string(text)
	}
	open, _, ok := strings.Cut(string(text), "\nauthorization:")
	if !ok {
		w.t.Fatalf("the configuration has no authorization:\n%s", text)
	}
	return open + "\nleafnodes: {listen: \"" + hubAddress + ":7422\", authorization: {timeout: 15}}\n"
}

// startNATS starts a NATS server in a site.
func (w *wan) startNATS(s *site, config string) {
	w.t.Helper()
	name := "hub.conf"
	if s == w.far {
		name = "leaf.conf"
	}
	w.write(name, config)
	command := exec.Command(os.Args[0], "-c", w.path(name))
	command.Env = append(os.Environ(), programVariable+"=nats-server")
	s.start(command)
	w.await("the NATS server answers", patience, func() bool {
		_, err := w.get(s, monitorHTTP, "/varz")
		return err == nil
	})
}

// flags returns the arguments of herd for a process in a site.
func (w *wan) flags(s *site, args ...string) []string {
	scheme, host := "nats://", hubAddress
	if w.tls {
		scheme = "tls://"
		args = append(args, "--keys", w.path("keys"))
	}
	if w.leaf && s == w.far {
		host = "127.0.0.1"
	}
	return append(args, "--config", w.path("herd.yaml"), "--bus-url", scheme+host+":4222")
}

// startFar starts Welsh, and before it the leaf node if there is one.
func (w *wan) startFar() {
	w.t.Helper()
	if w.leaf {
		w.startNATS(w.far, leafConfig)
	}
	w.startWelsh()
}

func (w *wan) startWelsh() {
	w.t.Helper()
	args := w.flags(w.far, "node", "Welsh")
	if w.store {
		args = append(args, "--store-dir", w.path("store"))
	}
	w.killWelsh = w.far.start(exec.Command(w.program, args...))
}

// restart ends Welsh without a warning and starts it again, with what its store holds.
func (w *wan) restart() {
	w.t.Helper()
	w.killWelsh()
	w.startWelsh()
}

// await polls until a condition holds, and returns how long that took; if it does not hold in time, the test fails.
func (w *wan) await(what string, within time.Duration, holds func() bool) time.Duration {
	w.t.Helper()
	took, ok := poll(within, holds)
	if !ok {
		w.t.Fatalf("not within %v: %s", within, what)
	}
	return took
}

// poll waits until a condition holds, for a limited time, and returns how long that took.
func poll(within time.Duration, holds func() bool) (took time.Duration, ok bool) {
	began := time.Now()
	for tick := time.Tick(50 * time.Millisecond); ; <-tick {
		ok = holds()
		if took = time.Since(began); ok || took > within {
			return took, ok
		}
	}
}

// get requests a path of a program's HTTP address in a site.
func (w *wan) get(s *site, address, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := w.client[s].Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return text.Bytes(), err
}

// health returns the health of a server of a site, or nothing if it does not answer.
func (w *wan) health(s *site, address string) (h status.Health) {
	if text, err := w.get(s, address, "/healthz"); err == nil {
		_ = json.Unmarshal(text, &h) // what does not answer has no digest
	}
	return h
}

func (w *wan) holiday() status.Health { return w.health(w.hub, holidayHTTP) }
func (w *wan) welsh() status.Health   { return w.health(w.far, welshHTTP) }

// linkTo returns what a server says of its link to a neighbour.
func linkTo(h status.Health, peer string) (l status.Link, ok bool) {
	i := slices.IndexFunc(h.Links, func(l status.Link) bool { return string(l.Peer) == peer })
	if i < 0 {
		return l, false
	}
	return h.Links[i], true
}

// joined reports whether both ends are ready and each says that its link to the other is up.
func (w *wan) joined() bool {
	hub, far := w.holiday(), w.welsh()
	toFar, _ := linkTo(hub, "Welsh")
	toHub, _ := linkTo(far, "Holiday")
	return hub.Ready && far.Ready && toFar.State == "up" && toHub.State == "up"
}

// equal reports whether both ends of the uplink hold the same reports.
func (w *wan) equal() bool {
	hub, far := w.holiday(), w.welsh()
	return hub.Digest != "" && hub.Digest == far.Digest && hub.Clients == far.Clients
}

// siteDialer lets NATS connect from a site.
type siteDialer struct{ *site }

func (d siteDialer) Dial(network, address string) (net.Conn, error) {
	return d.dial(d.t.Context(), network, address)
}

// observe counts the payload of messages to Welsh, as the NATS server at the hub receives them.
func (w *wan) observe() {
	w.t.Helper()
	conn, err := nats.Connect("nats://"+hubAddress+":4222", nats.SetCustomDialer(siteDialer{w.hub}), nats.NoReconnect())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(conn.Close)
	for i, kind := range payloadKinds {
		count := func(m *nats.Msg) { w.received[i].Add(int64(len(m.Data))) }
		if _, err := conn.Subscribe(subject.Of("herd", kind, subject.Any, "Welsh"), count); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// payload returns how many bytes of reports and syncs have been sent to Welsh.
func (w *wan) payload() int64 { return w.received[0].Load() + w.received[1].Load() }

// connection is a connection to a NATS server, open or closed.
type connection struct {
	Name   string    `json:"name"`
	Start  time.Time `json:"start"`
	Stop   time.Time `json:"stop"`
	Reason string    `json:"reason"`
}

func (c connection) String() string {
	return fmt.Sprintf("%s after %.1f s", c.Reason, c.Stop.Sub(c.Start).Seconds())
}

// disconnections returns the connections of Welsh that have ended, of those that began at a time or later: the server may end one from before a
// cut long after the link has returned.
func (w *wan) disconnections(since time.Time) []connection {
	w.t.Helper()
	return slices.DeleteFunc(w.connections("closed"), func(c connection) bool { return c.Start.Before(since) })
}

// connected returns when the connection began that Welsh has.
func (w *wan) connected() (since time.Time) {
	w.t.Helper()
	for _, c := range w.connections("open") {
		if c.Start.After(since) {
			since = c.Start
		}
	}
	return since
}

// connections returns the connections of Welsh in a state, closed or open.
func (w *wan) connections(state string) (all []connection) {
	w.t.Helper()
	s := w.hub
	if w.leaf {
		s = w.far
	}
	var answer struct {
		Connections []connection `json:"connections"`
	}
	text, err := w.get(s, monitorHTTP, "/connz?limit=10000&state="+state)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range answer.Connections {
		if strings.HasSuffix(c.Name, " Welsh") {
			all = append(all, c)
		}
	}
	return all
}
