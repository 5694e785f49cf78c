package bus_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/keys"
	"herd/bus/subject"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// errorLog passes on what a server says is wrong.
type errorLog struct {
	bustest.SilentLog
	errors chan string
}

func (l errorLog) Errorf(format string, v ...any) {
	select {
	case l.errors <- fmt.Sprintf(format, v...):
	default:
	}
}

// patience is for what is quick, on a machine that may be busy.
const patience = 30 * time.Second

// eventually polls a server until something holds.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); !is(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// Servers of a cluster forward messages of nodes on the others, and refuse other servers.
func TestCluster(t *testing.T) {
	hosts := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
	for name, test := range map[string]struct {
		adjust  []func(*keys.Plan)
		as      string // the node whose certificate a rogue server shows, or ""
		refusal string // what a server says of it
	}{
		"nkeys":                         {nil, "", "authentication error"},
		"mtls":                          {[]func(*keys.Plan){bustest.Mutual}, "", "TLS route handshake error"},
		"mtls, a node's own as a route": {[]func(*keys.Plan){bustest.Mutual}, "Welsh", "authentication error"},
	} {
		t.Run(name, func(t *testing.T) {
			k := bustest.MakeKeys(t, bustest.Plan(append(test.adjust, func(p *keys.Plan) { p.Servers = hosts })...))
			var servers []*server.Server
			routes := make(map[string]string) // address by host
			for _, host := range hosts {
				s := startFrom(t, filepath.Join(string(k), "servers", host, "nats-server.conf"), func(o *server.Options) {
					o.Cluster.Port = server.RANDOM_PORT
					for _, r := range o.Routes {
						r.Host = routes[r.Hostname()]
					}
				})
				routes[host] = s.ClusterAddr().String()
				servers = append(servers, s)
			}
			complaints := errorLog{errors: make(chan string, 1000)}
			servers[0].SetLoggerV2(complaints, false, false, false)
			node := func(who string, s *server.Server, h bus.Handler) bus.Conn {
				c, err := k.Node(who)
				if err != nil {
					t.Fatal(err)
				}
				d := &bus.NATS{URL: s.ClientURL(), Herd: "herd", Node: who}
				d.Identify(c)
				return bustest.Dial(t, bustest.OnCampus(d, who), h)
			}
			hands := bustest.NewInbox()
			node("Hands", servers[0], hands)
			goloman := node("Goloman", servers[2], bustest.NewInbox())
			eventually(t, "a message from the third server arrives at the first", func() bool {
				bustest.Publish(t, goloman, subject.Propagate, "Hands", "true")
				return len(hands.Messages) > 0
			})

			first, err := url.Parse("nats-route://" + routes[hosts[0]])
			if err != nil {
				t.Fatal(err)
			}
			options := &server.Options{
				ServerName: "rogue", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Routes: []*url.URL{first},
				Cluster: server.ClusterOpts{Name: "herd", Host: "127.0.0.1", Port: server.RANDOM_PORT},
			}
			if test.as != "" {
				c, err := k.Node(test.as)
				if err != nil {
					t.Fatal(err)
				}
				options.Cluster.TLSConfig, options.Cluster.TLSTimeout = c.TLS, 2
			}
			rogue, err := server.NewServer(options)
			if err != nil {
				t.Fatal(err)
			}
			rogue.Start()
			t.Cleanup(rogue.Shutdown)
			if !rogue.ReadyForConnections(patience) {
				t.Fatal("the rogue server is not ready")
			}
			for refused := ""; !strings.Contains(refused, test.refusal); {
				select {
				case refused = <-complaints.errors:
				case <-bustest.Deadline(t).Done():
					t.Fatal("the rogue server is not refused")
				}
			}
			nc, err := nats.Connect(rogue.ClientURL(), nats.NoReconnect())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if err := nc.Publish("herd.propagate.Goloman.Hands", []byte("forged")); err != nil {
				t.Fatal(err)
			}
			if err := nc.FlushWithContext(bustest.Deadline(t)); err != nil {
				t.Fatal(err)
			}
			if err := goloman.Publish("Hands", bus.Message{Kind: subject.Propagate, Stamp: bustest.SampleStamp, Payload: []byte("last")}); err != nil {
				t.Fatal(err)
			}
			for got := ""; got != "last"; {
				m := <-hands.Messages
				if got = string(m.Payload); got == "forged" {
					t.Error("a message of a rogue server is received")
				}
				if want := map[string]subject.Stamp{"last": bustest.SampleStamp}[got]; m.Stamp != want {
					t.Errorf("over a route the stamp of %q is %v, want %v", got, m.Stamp, want)
				}
			}
		})
	}
}
