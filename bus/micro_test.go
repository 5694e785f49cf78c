package bus_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herd/bus"
	"herd/bus/bustest"
	"herd/bus/keys"
	"herd/bus/subject"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// connectQuery returns a connection of the user query.
func connectQuery(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append(options, nats.CustomInboxPrefix(subject.QueryInbox), nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func serve(t *testing.T, d *bus.NATS) {
	t.Helper()
	d.Serve(&bus.Service{Version: "v1.2.3", Where: func(client string) ([]byte, bool) {
		return []byte("AT " + d.Node + " " + client), client != "unknown"
	}})
	c := bustest.Dial(t, d, bustest.NewInbox())
	if err := c.Flush(bustest.Deadline(t)); err != nil {
		t.Fatal(err)
	}
}

// checkMicro has the user query find the nodes, and send them requests.
func checkMicro(t *testing.T, nc *nats.Conn) {
	t.Helper()
	found, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("$SRV.INFO.herd", found.Subject, nil); err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for range 2 {
		m, err := found.NextMsgWithContext(bustest.Deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		var info micro.Info
		if err := json.Unmarshal(m.Data, &info); err != nil || info.Version != "1.2.3" || len(info.Endpoints) != 2 {
			t.Fatalf("%v in %s", err, m.Data)
		}
		nodes = append(nodes, info.Metadata["node"])
	}
	slices.Sort(nodes)
	if !slices.Equal(nodes, []string{"Goloman", "Hands"}) {
		t.Errorf("found %v", nodes)
	}
	for subject, want := range map[string]string{
		"herd.where.Goloman": "AT Goloman kiwi\xff", "herd.where.Hands": "AT Hands kiwi\xff", "herd.where": "AT either kiwi\xff",
	} {
		m, err := nc.RequestWithContext(bustest.Deadline(t), subject, []byte("kiwi\xff"))
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		if got := string(m.Data); got != want && (subject != "herd.where" || got != "AT Goloman kiwi\xff" && got != "AT Hands kiwi\xff") {
			t.Errorf("%s answers %q", subject, got)
		}
	}
	m, err := nc.RequestWithContext(bustest.Deadline(t), "herd.where", []byte("unknown"))
	if err != nil || len(m.Data) > 0 || m.Header.Get(micro.ErrorCodeHeader) != "404" || m.Header.Get(micro.ErrorHeader) != "client not known" {
		t.Errorf("an unknown client: %v, %v", m, err)
	}
	if _, err := nc.RequestWithContext(bustest.Deadline(t), "herd.where.Wilkes", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a node that does not run: %v", err)
	}
}

// The user query sends requests to nodes of the embedded server, and those of a real one with the configuration made for it, and can do nothing else.
func TestMicro(t *testing.T) {
	s, err := bus.StartServer(bus.ServerConfig{Herd: "herd", Neighbours: bustest.Campus, Micro: true, Listen: "127.0.0.1:0", Log: bustest.SilentLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	serve(t, s.Dialer("Goloman"))
	serve(t, s.Dialer("Hands"))
	checkMicro(t, connectQuery(t, s.URL(), nats.UserInfo(keys.QueryUser, keys.QueryUser)))

	for name, adjust := range map[string][]func(*keys.Plan){"nkeys": {queried}, "TLS": {queried, bustest.Encrypted}, "mtls": {queried, bustest.Mutual, bustest.Private}} {
		t.Run(name, func(t *testing.T) {
			k := bustest.MakeKeys(t, bustest.Plan(adjust...))
			url := startFrom(t, filepath.Join(string(k), "servers", "nats", "nats-server.conf")).ClientURL()
			for _, node := range []string{"Goloman", "Hands"} {
				d := &bus.NATS{URL: url, Herd: "herd", Node: node}
				c, err := k.Node(node)
				if err != nil {
					t.Fatal(err)
				}
				d.Identify(c)
				serve(t, d)
			}
			c, err := k.Query()
			if err != nil {
				t.Fatal(err)
			}
			checkMicro(t, connectQuery(t, url, bus.Options(c)...))

			m := join(t, "query", url, bus.Options(c))
			for _, subject := range []string{"herd.>", "$SRV.>", "_INBOX.x", "herd.where"} {
				if _, err := m.nc.SubscribeSync(subject); err != nil {
					t.Fatal(err)
				}
			}
			for _, subject := range []string{"herd.propagate.Goloman.Hands", "_INBOX_query.x", "herd.where.Goloman.Hands"} {
				if err := m.nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
			}
			m.flush(t)
			want := "publish _INBOX_query.x, publish herd.propagate.Goloman.Hands, publish herd.where.Goloman.Hands, " +
				"subscribe $SRV.>, subscribe _INBOX.x, subscribe herd.>, subscribe herd.where"
			if refused, _ := m.leave(t); strings.Join(refused, ", ") != want {
				t.Errorf("refused %q, want %s", refused, want)
			}
		})
	}
}

// Without micro services, nobody may send requests and no node may answer them.
func TestNoMicro(t *testing.T) {
	s := startServer(t, "127.0.0.1:0")
	if nc, err := nats.Connect(s.URL(), nats.UserInfo(keys.QueryUser, keys.QueryUser)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("%v, %v", nc, err)
	}
	in := bustest.NewInbox()
	d := s.Dialer("Goloman")
	d.Serve(&bus.Service{Where: func(string) ([]byte, bool) { return nil, false }})
	c := bustest.Dial(t, d, in)
	if err := c.Flush(bustest.Deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-in.Faults; !errors.Is(err, bus.ErrRefused) || !strings.Contains(err.Error(), "Subscription to") {
		t.Error(err)
	}
}

// A node answers each request once and within two seconds; the server lets no other answer through.
func TestMicroAnswersOnceAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := bustest.MakeKeys(t, bustest.Plan(queried))
		s, err := bus.StartServer(bus.ServerConfig{Herd: "herd", Neighbours: bustest.Campus, Keys: k, Micro: true, Log: bustest.SilentLog{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		subscribe := func(who func() (*keys.Credentials, error), on string) (*nats.Conn, chan *nats.Msg) {
			c, err := who()
			if err != nil {
				t.Fatal(err)
			}
			nc, err := nats.Connect("", append(bus.Options(c), nats.InProcessServer(s.Inner()), nats.NoReconnect())...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			received := make(chan *nats.Msg, 10)
			if _, err = nc.ChanSubscribe(on, received); err == nil {
				err = nc.FlushWithContext(bustest.Deadline(t))
			}
			if err != nil {
				t.Fatal(err)
			}
			return nc, received
		}
		const inbox = subject.QueryInbox + ".x"
		querying, answers := subscribe(k.Query, inbox)
		node, requests := subscribe(func() (*keys.Credentials, error) { return k.Node("Goloman") }, "herd.where.Goloman")
		for _, test := range []struct {
			after           time.Duration
			answer, arrived int
		}{{0, 1, 1}, {0, 2, 1}, {1900 * time.Millisecond, 1, 1}, {2100 * time.Millisecond, 1, 0}} {
			if err := querying.PublishRequest("herd.where.Goloman", inbox, nil); err != nil {
				t.Fatal(err)
			}
			request := <-requests
			<-time.After(test.after)
			for range test.answer {
				if err := request.Respond(nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := node.FlushWithContext(bustest.Deadline(t)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			arrived := len(answers)
			for range arrived {
				<-answers
			}
			if arrived != test.arrived {
				t.Errorf("of %d answers after %s %d arrived, want %d", test.answer, test.after, arrived, test.arrived)
			}
		}
	})
}

// The configuration of a server of one's own allows the same.
func TestMicroAnswersOfConfig(t *testing.T) {
	k := bustest.MakeKeys(t, bustest.Plan(queried))
	options, err := server.ProcessConfigFile(filepath.Join(string(k), "servers", "nats", "nats-server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	answering := 0
	for _, user := range options.Nkeys {
		if r := user.Permissions.Response; r != nil {
			answering++
			if *r != (server.ResponsePermission{MaxMsgs: 1, Expires: 2 * time.Second}) {
				t.Errorf("a user may answer as %+v", *r)
			}
		}
	}
	if answering != len(bustest.Campus) {
		t.Errorf("%d users may answer, want the %d nodes", answering, len(bustest.Campus))
	}
}
