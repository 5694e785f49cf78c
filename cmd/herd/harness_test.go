package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/zap"

	"herd/bus"
	"herd/bus/bustest"
	"herd/cmd/herd/internal/client"
	"herd/cmd/herd/internal/process"
	"herd/configs"
	"herd/node"
	"herd/node/admit"
	"herd/node/status"
	"herd/places/gazetteer"
	"herd/places/placestest"
)

// patience is how long a test waits for what comes about in a moment on a machine that has nothing else to do.
const patience = time.Minute

// world is the gazetteer that all tests share.
var world = sync.OnceValue(gazetteer.Open)

type herdKey struct{}

// scriptHerd is the herd of one script: its addresses, and its nodes if they run in the test.
type scriptHerd struct {
	t      testing.TB // of all scripts
	config *configs.Config
	stop   func() // and wait

	places placestest.Server
	before int // requests that this had before the last provider command
}

func newScriptHerd(t testing.TB) *scriptHerd { return &scriptHerd{t: t, stop: func() {}} }

// scriptCommand makes a command of a script from a method that takes between least and most arguments.
func scriptCommand(least, most int, do func(*scriptHerd, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least || len(args) > most {
			ts.Fatalf("wrong use, see TestScript")
		}
		do(ts.Value(herdKey{}).(*scriptHerd), ts, args)
	}
}

// start runs the default topology.
func (h *scriptHerd) start(ts *testscript.TestScript, _ []string) {
	h.stop()
	var url string
	var err error
	h.config, url, h.stop, err = startCampus()
	ts.Check(err)
	h.publish(ts, url)
}

func (h *scriptHerd) stopped(*testscript.TestScript, []string) { h.stop() }

// free reserves ports for the default topology.
func (h *scriptHerd) free(ts *testscript.TestScript, _ []string) {
	config, err := freeCampus(ts.Defer)
	ts.Check(err)
	h.config = config
	h.publish(ts, "nats://"+config.Bus.Listen)
}

// freeCampus returns the default topology on addresses that are reserved until the end of the test.
func freeCampus(atEnd func(func())) (*configs.Config, error) {
	config, err := configs.Load("", nil, nil)
	if err != nil {
		return nil, err
	}
	addresses := []*string{&config.Bus.Listen}
	for i := range config.Nodes {
		addresses = append(addresses, &config.Nodes[i].Listen, &config.Nodes[i].HTTP)
	}
	for _, a := range addresses {
		var release func()
		if *a, release, err = reserveAddress(); err != nil {
			return nil, err
		}
		atEnd(release)
	}
	return config, nil
}

// reserveAddress returns an address of this machine whose TCP port is free, and stays so until release: the system gives nobody a port below
// 32768 who asks for any, and whoever else reserves ports in this way, in any process, finds the UDP port of the same number taken.
func reserveAddress() (address string, release func(), err error) {
	for range 1000 {
		address = fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		reservation, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			return address, func() { _ = reservation.Close() }, l.Close()
		}
		_ = reservation.Close()
	}
	return "", nil, errors.New("no port is free")
}

// publish has the script know where the herd is.
func (h *scriptHerd) publish(ts *testscript.TestScript, url string) {
	path := ts.MkAbs("herd.yaml")
	ts.Check(os.WriteFile(path, describeHerd(h.config), 0o600))
	ts.Setenv("HERD_CONFIG", path)
	ts.Setenv("BUS", url)
	for _, n := range h.config.Nodes {
		ts.Setenv(strings.ToUpper(string(n.Name)), n.Listen)
		ts.Setenv(strings.ToUpper(string(n.Name))+"_HTTP", n.HTTP)
	}
}

func (h *scriptHerd) ready(ts *testscript.TestScript, names []string) {
	for _, n := range h.config.Nodes {
		if len(names) == 0 || slices.Contains(names, string(n.Name)) {
			until(ts, fmt.Sprintf("%s is ready", n.Name), func() bool { return health(n).Ready })
		}
	}
}

func (h *scriptHerd) connected(ts *testscript.TestScript, _ []string) {
	for _, n := range h.config.Nodes {
		until(ts, fmt.Sprintf("%s is connected", n.Name), func() bool { return health(n).Bus == "connected" })
	}
}

// provide makes the provider of places fail in these ways, one request each.
func (h *scriptHerd) provide(_ *testscript.TestScript, ways []string) {
	var next []placestest.Fault
	for _, w := range ways {
		next = append(next, placestest.Fault(w))
	}
	h.places.Behave(next...)
	h.before, _ = h.places.Seen()
}

func (h *scriptHerd) requested(ts *testscript.TestScript, want []string) {
	requests := h.places.Requests()[h.before:]
	if n := strconv.Itoa(len(requests)); n != want[0] {
		ts.Fatalf("the provider got %s requests: %q", n, requests)
	}
	for _, r := range requests {
		if !strings.Contains(r, want[1]) {
			ts.Fatalf("the provider got %q", r)
		}
	}
}

// health returns the health of a node, or nothing if it does not answer.
func health(n configs.Node) status.Health {
	h, _ := client.Health(context.Background(), n.HTTP, "")
	return h
}

// natsServer is a NATS server as anybody runs one. Its argument is its URL, and everyone may do everything; or its arguments are
// those of NATS's own program. It ends with SIGINT.
func natsServer() {
	var options *natsserver.Options
	var err error
	if strings.HasPrefix(os.Args[1], "-") {
		options, err = natsserver.ConfigureOptions(flag.NewFlagSet("nats-server", flag.ExitOnError), os.Args[1:], nil, nil, nil)
	} else {
		options = new(natsserver.Options)
		var port string
		options.Host, port, _ = strings.Cut(strings.TrimPrefix(os.Args[1], "nats://"), ":")
		options.Port, err = strconv.Atoi(port)
	}
	if err != nil {
		panic(err)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := natsserver.NewServer(options)
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
}

func (h *scriptHerd) everywhere(ts *testscript.TestScript, args []string) {
	for _, n := range h.config.Nodes {
		until(ts, fmt.Sprintf("%s knows %s", n.Name, args[0]), func() bool { return strings.HasPrefix(whatsat(n, args[0]), "AT ") })
	}
}

func (h *scriptHerd) forgotten(ts *testscript.TestScript, args []string) {
	for _, n := range h.config.Nodes {
		if len(args) == 1 || slices.Contains(args[1:], string(n.Name)) {
			until(ts, fmt.Sprintf("%s forgets %s", n.Name, args[0]), func() bool { return strings.HasPrefix(whatsat(n, args[0]), "? ") })
		}
	}
}

// whatsat returns the first line of what a node answers about a client, or nothing.
func whatsat(n configs.Node, client string) string {
	conn, err := net.Dial("tcp", n.Listen)
	if err != nil {
		return ""
	}
	defer conn.Close()
	fmt.Fprintf(conn, "WHATSAT %s 0 0\n", client)
	reply, _ := bufio.NewReader(conn).ReadString('\n')
	return reply
}

// until checks again and again whether something is so that comes about in another goroutine or process.
func until(ts *testscript.TestScript, what string, so func() bool) {
	deadline := time.Now().Add(patience)
	for tick := time.Tick(5 * time.Millisecond); !so(); <-tick {
		if time.Now().After(deadline) {
			ts.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// describeHerd writes the nodes, links and bus of a configuration as a file of it.
func describeHerd(config *configs.Config) []byte {
	var text strings.Builder
	for _, v := range config.Values() {
		if v.Key == "links" {
			fmt.Fprintf(&text, "links: %s\n", v.Value)
		}
	}
	text.WriteString("nodes:\n")
	for _, n := range config.Nodes {
		fmt.Fprintf(&text, "  - {name: %s, listen: %q, http: %q}\n", n.Name, n.Listen, n.HTTP)
	}
	fmt.Fprintf(&text, "bus: {listen: %q}\nlog: {level: warn}\nplaces: {timeout: 20s}\n", config.Bus.Listen)
	return []byte(text.String())
}

// startCampus runs the default topology in this process on any free ports, until stop. config holds the addresses, url is
// that of the bus.
func startCampus() (config *configs.Config, url string, stop func(), err error) {
	if config, err = configs.Load("", nil, nil); err != nil {
		return nil, "", nil, err
	}
	waiting, enough := context.WithTimeout(context.Background(), patience)
	defer enough()
	if err := world().Wait(waiting); err != nil { // a herd answers the first questions though the processors are busy
		return nil, "", nil, err
	}
	peers := process.Neighbours(config.Topology())
	server, err := bus.StartServer(bus.ServerConfig{
		Herd: config.Herd, Neighbours: peers, Listen: "127.0.0.1:0", Log: bustest.SilentLog{},
	})
	if err != nil {
		return nil, "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		server.Close()
	})
	for i := range config.Nodes {
		n := &config.Nodes[i]
		clients, err := listenReserved()
		if err != nil {
			stop()
			return nil, "", nil, err
		}
		health, err := listenReserved()
		if err != nil {
			stop()
			return nil, "", nil, err
		}
		n.Listen, n.HTTP = clients.Addr().String(), health.Addr().String()
		one := node.New(node.Config{
			Name: n.Name, Topology: config.Topology(),
			Listener: clients, HTTP: health, Bus: server.Dialer(string(n.Name)), Places: world(),
			Limits: admit.Limits{Places: patience}, Log: zap.NewNop(),
		})
		running.Go(func() { _ = one.Run(ctx) })
		<-one.Ready()
	}
	config.Bus.Listen = strings.TrimPrefix(server.URL(), "nats://")
	return config, server.URL(), stop, nil
}

// kept holds what listenReserved reserved, which the collector of garbage would close.
var kept sync.Map

// listenReserved listens on a reserved address, which stays reserved until the tests end: nobody else answers there when the listener is closed.
func listenReserved() (net.Listener, error) {
	address, release, err := reserveAddress()
	if err != nil {
		return nil, err
	}
	kept.Store(address, release)
	return net.Listen("tcp", address)
}
