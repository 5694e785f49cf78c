// Package configs describes a herd: its nodes, the links between them and every setting.
//
// # Where a value comes from
//
// A flag overrides an environment variable, which overrides a file, which overrides herd.yaml of this folder, which is embedded and so
// holds the defaults. The scalar key bus.url, for example, is set by
//
//	--bus-url nats://10.0.0.1:4222
//	HERD_BUS_URL=nats://10.0.0.1:4222
//	bus: {url: "nats://10.0.0.1:4222"}
//
// Nodes and links come from a file only. They are one topology: a file with nodes replaces the links too; a file with links only keeps the
// nodes of herd.yaml.
//
// An empty variable counts: HERD_BUS_URL= overrides the URL of the file. HERD_CONFIG names the file if --config does not; empty, it names
// none. Any other variable that begins with HERD_ is an error, so that a misspelt one is noticed. (Kubernetes makes such variables from a
// service called herd; enableServiceLinks: false in the pod prevents that.)
//
// # What is an error
//
// Keys are lower case and exact. A value has the type of its key: a number is not quoted in YAML, a duration has a unit (except 0), and a
// text that looks like a number is quoted. Unknown, misspelt and repeated keys, values of another type or out of range, and faults of the
// topology are all reported at once, in one line.
//
// # How it is read
//
// Each source is read into a layer of typed values, which finds nearly every fault and knows its place. viper merges the layers and fills
// the Config. viper does not read the sources itself, because it folds the case of keys, converts between types, and does not say where a
// value came from.
package configs

import (
	"slices"
	"time"

	"herd/node/line"
	"herd/node/topology"
)

// Config is a whole configuration, as Load returns it: every value is set and in range, and the topology is valid.
//
// The tags are the schema: yaml is the key; help describes it in one line; is names the check of the value (see checks); secret marks a
// value that is never shown as it is; live marks one that a running process can change. The fields have the order of herd.yaml, and a comment
// where help does not say all.
type Config struct {
	// Herd is the first token of every bus subject, so that herds with different names can share a bus. 1 to 32 letters, digits, _ and -.
	Herd string `yaml:"herd" is:"name" help:"name of the herd and prefix of its bus subjects"`
	// Nodes are the servers, in the order of the file.
	Nodes []Node `yaml:"nodes" live:"true"`
	// Links are the pairs of nodes that send each other reports. A link works both ways and is listed once.
	Links []Link `yaml:"links" live:"true"`

	Bus    Bus    `yaml:"bus"`
	TLS    TLS    `yaml:"tls"`
	Places Places `yaml:"places"`
	Store  Store  `yaml:"store"`
	Limits Limits `yaml:"limits"`
	HTTP   HTTP   `yaml:"http"`
	Trace  Trace  `yaml:"trace"`
	Log    Log    `yaml:"log"`

	topology *topology.Topology
	sources  map[string]Source // of the values, by dotted key

	placesKey, httpToken string
}

// Node is one server of the herd.
type Node struct {
	// Name is the name in AT lines. 1 to 32 letters, digits, _ and -.
	Name line.NodeName `yaml:"name"`
	// Listen is the HOST:PORT for clients. An empty host means all interfaces, port 0 any free one.
	Listen string `yaml:"listen" is:"address"`
	// HTTP is the HOST:PORT of the status page, API, metrics and health; empty means none.
	HTTP string `yaml:"http" is:"address or none"`
}

// Link is a pair of nodes that send each other reports.
type Link struct {
	Ends [2]line.NodeName
	// Every is how often at most the first end sends the second a report of one client, and the second the first; 0: as often as there is one.
	Every [2]time.Duration
}

// MarshalYAML returns the list that a file has for the link.
func (l Link) MarshalYAML() (any, error) {
	list := []any{l.Ends[0], l.Ends[1]}
	every := make(map[line.NodeName]string)
	for i, d := range l.Every {
		if d > 0 {
			every[l.Ends[i]] = format(d)
		}
	}
	switch {
	case len(every) == 0:
	case l.Every[0] == l.Every[1]:
		list = append(list, map[string]string{"every": format(l.Every[0])})
	default:
		list = append(list, map[string]any{"every": every})
	}
	return list, nil
}

// Bus is the NATS bus between the nodes.
type Bus struct {
	// URL is a comma-separated list of NATS servers: nats:// or tls://, HOST, optionally :PORT (4222 by default), and before the host
	// optionally USER:PASSWORD@ or TOKEN@. Empty means that herd up embeds a server.
	URL string `yaml:"url" is:"servers or none" secret:"true" help:"NATS servers, comma-separated; empty: 'herd up' embeds one"`
	// Keys is a directory made by herd bus keys: a node authenticates with the credentials in nodes/NAME, an embedded server knows the nodes
	// by them. Empty means no credentials except those in URL.
	Keys string `yaml:"keys" help:"directory with the keys made by 'herd bus keys'"`
	// Listen is the HOST:PORT on which an embedded server accepts NATS clients; empty means nowhere.
	Listen string `yaml:"listen" is:"address or none" help:"HOST:PORT for observers of the bus"`
	Micro  bool   `yaml:"micro" help:"answer on the bus as a NATS micro service"`
}

// TLS secures the ports for clients; without a certificate they use plain TCP. Relative paths are relative to the working directory.
type TLS struct {
	// Cert is the PEM file of the server's certificate, followed by the intermediate ones. It needs Key, and Key needs it.
	Cert string `yaml:"cert" live:"true" help:"PEM file of the certificate chain; empty: plain TCP"`
	// Key is the PEM file of the certificate's private key. It must belong to the user of this process and be readable by nobody else, or
	// belong to root, who may share it with a group.
	Key string `yaml:"key" live:"true" help:"PEM file of the private key"`
	// Clients is none or require. With require a client needs a certificate of CA, reports only for the IDs in it, and is disconnected when
	// it expires.
	Clients string `yaml:"clients" live:"true" is:"clients" help:"certificates of clients: none or require"`
	// CA is the PEM file of the CAs of clients' certificates. It is given if and only if Clients is require.
	CA string `yaml:"ca" live:"true" help:"PEM file of the CAs of client certificates"`
}

// Places selects the source of nearby places. Google's API key is not part of it: see [Config.PlacesKey].
type Places struct {
	// Provider is gazetteer, the embedded table of the world; file, the table in File; google, its Places API (New); google-legacy, its
	// Nearby Search; or overpass, OpenStreetMap.
	Provider string `yaml:"provider" is:"provider" help:"gazetteer, file, google[-legacy] or overpass"`
	// Endpoint is the URL of the API of a provider behind a network. Empty means Google's own; overpass needs one.
	Endpoint string `yaml:"endpoint" is:"endpoint or none" help:"URL of the API of google or overpass; empty: Google's"`
	// KeyFile is a file with Google's API key, readable by nobody else.
	KeyFile string `yaml:"key_file" help:"file with Google's API key; empty: HERD_PLACES_KEY"`
	File    string `yaml:"file" help:"file made by 'herd places import', for the provider file"`
	// Fields are comma-separated fields to request from google besides the basic ones. Each may raise the price of a request.
	Fields string `yaml:"fields" is:"fields" help:"additional fields to request from google, comma-separated"`
	// Rate is how many requests a second a process makes to a provider behind a network; further ones wait. 0 means unlimited.
	Rate int `yaml:"rate" help:"requests per second to the provider, 0: unlimited"`
	// Fallback is gazetteer, which answers when the provider fails and says so, or none.
	Fallback string `yaml:"fallback" is:"fallback" help:"if the provider fails: gazetteer or none"`
	// Timeout is the time limit of a search, after which the client gets an error. Above 0.
	Timeout time.Duration `yaml:"timeout" live:"true" is:"positive" help:"time limit of a search for places, above 0"`
}

// Store keeps a node's reports on disk.
type Store struct {
	// Dir is a directory in which each node has a directory of its own name. Empty means that reports are in memory only.
	Dir string `yaml:"dir" help:"directory for the nodes' stores; empty: memory only"`
	// Mode is interval, which syncs to disk within a moment after the reply to a client, or always, which syncs before it.
	Mode string `yaml:"mode" is:"mode" help:"sync reports to disk: interval or always"`
}

// Limits protect a node from its clients, and its memory from slow links and from clients that are gone. 0 means no limit.
type Limits struct {
	Future time.Duration `yaml:"future" live:"true" help:"how far a report's time may be ahead, 0: any"`
	Idle   time.Duration `yaml:"idle" live:"true" help:"time without a line from a client, 0: unlimited"`
	// Line is how long a client may take to complete a line, from its first byte.
	Line        time.Duration `yaml:"line" live:"true" help:"time for a client to complete a line, 0: unlimited"`
	Write       time.Duration `yaml:"write" live:"true" help:"time for a client to accept replies, 0: unlimited"`
	Connections int           `yaml:"connections" live:"true" help:"clients connected to a node, 0: unlimited"`
	PerAddress  int           `yaml:"per_address" live:"true" help:"clients connected to a node per IP address, 0: unlimited"`
	Rate        int           `yaml:"rate" live:"true" help:"lines per second of a connection, 0: unlimited"`
	// NewClients is how many client IDs that a node does not know may be introduced from one IP address in a minute.
	NewClients int `yaml:"new_clients" live:"true" help:"new client IDs per minute and IP address, 0: unlimited"`
	// Retention is how long a report is kept after its origin received it. It must be the same at all nodes.
	Retention time.Duration `yaml:"retention" help:"age at which a report is forgotten, 0: never"`
	// CatchUp is how long a node that starts may take to sync with its neighbours before it is ready nevertheless.
	CatchUp time.Duration `yaml:"catch_up" help:"time to sync before a starting node is ready"`
}

// HTTP says what the HTTP address of a node serves, and to whom. The token is not part of it: see [Config.HTTPToken].
type HTTP struct {
	// TokenFile is a file with the token that requests need, readable by nobody else.
	TokenFile string `yaml:"token_file" help:"file with the HTTP token; empty: HERD_HTTP_TOKEN"`
	// Open allows requests without a token also to addresses that other machines reach.
	Open bool `yaml:"open" help:"no token is needed"`
	// Hosts are comma-separated names and addresses in requests besides the node's own, as of a proxy in front of it. Requests with any other
	// name are refused, so that no web page can make its visitors send them.
	Hosts string `yaml:"hosts" is:"hosts or none" help:"further host names of the nodes, comma-separated"`
	// Observe is whether the page shows the traffic of the whole herd, as an observer of the bus: on, off, or auto, which is on in 'herd up'
	// with an embedded bus.
	Observe string `yaml:"observe" is:"observe" help:"watch all links from the bus: auto, on or off"`
	Pprof   bool   `yaml:"pprof" help:"serve profiles under /debug/pprof"`
}

// Trace sends traces of reports to a collector.
type Trace struct {
	Endpoint string `yaml:"endpoint" is:"collector or none" help:"URL of an OTLP collector over HTTP; empty: no traces"`
	OneIn    int    `yaml:"one_in" is:"positive" help:"trace one in this many reports, at least 1"`
}

// Log says what the nodes log.
type Log struct {
	// Level is the least severe level that is logged: debug, info (one entry per line of a client), warn or error.
	Level  string `yaml:"level" live:"true" is:"level" help:"least severe level: debug, info, warn or error"`
	Format string `yaml:"format" is:"format" help:"format of the log: console or json"`
	Dir    string `yaml:"dir" help:"directory for a log file per node; empty: standard error"`
}

// Topology returns the graph of Nodes and Links.
func (c *Config) Topology() *topology.Topology { return c.topology }

// PlacesKey returns Google's API key from HERD_PLACES_KEY, or "".
func (c *Config) PlacesKey() string { return c.placesKey }

// HTTPToken returns the token for HTTP from HERD_HTTP_TOKEN, or "".
func (c *Config) HTTPToken() string { return c.httpToken }

// Node returns the node called name, and whether there is one.
func (c *Config) Node(name line.NodeName) (Node, bool) {
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return c.Nodes[i], true
}
