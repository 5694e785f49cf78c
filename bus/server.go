package bus

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"herd/bus/keys"
	"herd/bus/subject"
)

const (
	startTime = 5 * time.Second
	startStep = 20 * time.Millisecond
)

// ServerConfig is what an embedded NATS server is made of.
type ServerConfig struct {
	Herd       string
	Neighbours map[string][]string // of each node
	Keys       keys.Keyring        // has the keys of the nodes; "": the server makes new ones, which no other process has
	Listen     string              // HOST:PORT for TCP clients; "": none
	Micro      bool                // nodes may answer as micro services, and the user query may query them
	Log        server.Logger       // of the NATS server; its Fatalf must return
}

// Server is a NATS server within the process. Each node of the herd has a key of its own, and may publish and subscribe on its own
// links alone. On a loopback address, a connection without a key is an observer, which may receive everything but syncs and
// publish nothing; on any other address it is refused. The user that queries micro services has the key of the keyring or, on a loopback
// address, user and password query.
type Server struct {
	config   ServerConfig
	nats     *server.Server
	keys     map[string]nkeys.KeyPair
	observer nkeys.KeyPair // of observers within the process, on whatever address the server listens
}

// StartServer returns a server that is ready for connections.
func StartServer(config ServerConfig) (*Server, error) {
	s := &Server{config: config, keys: make(map[string]nkeys.KeyPair)}
	var err error
	if s.observer, err = nkeys.CreateUser(); err != nil {
		return nil, fmt.Errorf("bus: key of the observer: %w", err)
	}
	options, err := s.options(config.Neighbours)
	if err != nil {
		return nil, err
	}
	if s.nats, err = server.NewServer(options); err != nil {
		return nil, fmt.Errorf("bus: embedded NATS server: %w", err)
	}
	log := &fatalLog{Logger: config.Log, fatal: make(chan string, 1)}
	s.nats.SetLoggerV2(log, false, false, false)
	s.nats.Start()
	for began := time.Now(); !s.nats.ReadyForConnections(startStep); {
		select {
		case why := <-log.fatal:
			err = fmt.Errorf("%w: %s", ErrNotStarted, why)
		default:
			if time.Since(began) > startTime {
				err = fmt.Errorf("%w: not ready within %s", ErrNotStarted, startTime)
			}
		}
		if err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) options(neighbours map[string][]string) (*server.Options, error) {
	options := &server.Options{
		ServerName:          "herd-" + s.config.Herd,
		NoSigs:              true, // else it handles signals, and exits the process
		DontListen:          s.config.Listen == "",
		NoFastProducerStall: true, // a slow subscriber must not delay publishers, who have other subscribers too
		MaxPayload:          256 << 10,
		MaxPending:          16 << 20,
		WriteDeadline:       30 * time.Second,
		WriteTimeout:        server.WriteTimeoutPolicyRetry, // a slow reader that still reads stays
		AuthTimeout:         handshakeTime.Seconds(),
	}
	if s.config.Listen != "" {
		host, port, err := net.SplitHostPort(s.config.Listen)
		if err != nil {
			return nil, fmt.Errorf("bus: embedded NATS server: %w", err)
		}
		options.Host = host
		if options.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("bus: embedded NATS server: port %q is not a number", port)
		}
		if options.Port == 0 {
			options.Port = server.RANDOM_PORT
		}
	}
	var err error
	if options.Nkeys, err = s.users(neighbours); err != nil {
		return nil, err
	}
	if loopback(options.Host) {
		options.NoAuthUser, err = keys.ObserverPublicKey()
		if s.config.Micro {
			options.Users = []*server.User{{Username: keys.QueryUser, Password: queryHash, Permissions: permissions(subject.ForQuery(s.config.Herd))}}
		}
	}
	return options, err
}

// queryHash is the password of the user query, which is "query", hashed by bcrypt: the server warns of passwords in plain text.
const queryHash = "$2a$04$UxpMDtc3FueSFE58uS3WFO0Pl66iOjBkWWy7aS3c.9pqne56zEF7W"

// loopback reports whether only this machine can connect to a host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// users returns the observers, the user that queries micro services, and the nodes with the permissions of their links. A node without a key
// gets one.
func (s *Server) users(neighbours map[string][]string) ([]*server.NkeyUser, error) {
	observer, err := keys.ObserverPublicKey()
	if err != nil {
		return nil, err
	}
	observe := permissions(subject.ForObserver(s.config.Herd, subject.ScopeFlood))
	users := []*server.NkeyUser{{Nkey: observer, Permissions: observe}}
	add := func(key nkeys.KeyPair, may *server.Permissions) error {
		public, err := key.PublicKey()
		users = append(users, &server.NkeyUser{Nkey: public, Permissions: may})
		return err
	}
	err = add(s.observer, observe)
	if err == nil && s.config.Micro && s.config.Keys != "" {
		var key nkeys.KeyPair
		if key, err = s.config.Keys.QueryKey(); err == nil {
			err = add(key, permissions(subject.ForQuery(s.config.Herd)))
		}
	}
	if err != nil {
		return nil, err
	}
	for node, peers := range neighbours {
		key := s.keys[node]
		switch {
		case s.config.Keys != "": // read each time: a key that was replaced is no longer valid
			key, err = s.config.Keys.NodeKey(node)
		case key == nil:
			key, err = nkeys.CreateUser()
		}
		if err == nil {
			s.keys[node] = key
			err = add(key, permissions(subject.ForNode(s.config.Herd, node, peers, s.config.Micro)))
		}
		if err != nil {
			return nil, fmt.Errorf("bus: key of %s: %w", node, err)
		}
	}
	return users, nil
}

// permissions are as the server has them.
func permissions(p subject.Permissions) *server.Permissions {
	s := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish.Allow, Deny: p.Publish.Deny},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe.Allow, Deny: p.Subscribe.Deny},
	}
	if p.Responses > 0 {
		s.Response = &server.ResponsePermission{MaxMsgs: p.Responses, Expires: p.ResponseTime}
	}
	return s
}

// Permit gives the nodes the permissions of these links instead of those they had, and reads their keys again. It closes the connections
// of nodes that are not in the topology any more or have another key.
func (s *Server) Permit(neighbours map[string][]string) error {
	options, err := s.options(neighbours)
	if err != nil {
		return err
	}
	if err := s.nats.ReloadOptions(options); err != nil {
		return fmt.Errorf("bus: embedded NATS server: %w", err)
	}
	return nil
}

// Dialer returns how a node connects within the process.
func (s *Server) Dialer(node string) *NATS {
	d := &NATS{Herd: s.config.Herd, Node: node, server: s.nats}
	d.Identify(&keys.Credentials{Key: s.keys[node]})
	return d
}

// Observer returns an observer of reports that connects within the process. The caller sets its functions.
func (s *Server) Observer() *Observer {
	return &Observer{Herd: s.config.Herd, Kind: subject.Propagate, Credentials: &keys.Credentials{Key: s.observer}, server: s.nats}
}

// URL returns where TCP clients connect, or "" if they cannot.
func (s *Server) URL() string {
	if s.config.Listen == "" {
		return ""
	}
	return s.nats.ClientURL()
}

// Close ends all connections and waits until the server has ended.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// fatalLog keeps why a server does not start: a port that is in use shows nowhere else.
type fatalLog struct {
	server.Logger
	fatal chan string
}

func (l *fatalLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}
