package configs

import (
	"slices"
	"time"

	"herd/node/topology"

	"herd/node/line"
)

// Config is a whole configuration, as Load returns it: every value set, in range, and the topology sound.
//
// The tags are the schema: yaml is the key, help one line about it, is the check a value must pass (see checks), and
// secret marks what is never shown, live what a running process can follow. The order of the fields is that of herd.yaml.
type Config struct {
	// Herd is the first token of every bus subject, so two herds with different names can share a bus. 1 to 32
	// letters, digits, _ and -.
	Herd string `yaml:"herd" is:"name" help:"name of the herd, the first token of every bus subject"`

	// Nodes are the servers, in the order of the file.
	Nodes []Node `yaml:"nodes" live:"true"`

	// Links are the pairs of nodes that tell each other what is new. A link works both ways and is listed once.
	Links [][2]line.NodeName `yaml:"links" live:"true"`

	Bus    Bus    `yaml:"bus"`
	TLS    TLS    `yaml:"tls"`
	Places Places `yaml:"places"`
	Store  Store  `yaml:"store"`
	Limits Limits `yaml:"limits"`
	HTTP   HTTP   `yaml:"http"`
	Trace  Trace  `yaml:"trace"`
	Log    Log    `yaml:"log"`

	topology *topology.Topology
	sources  map[string]Source // by dotted key

	placesKey, httpToken string
}

// Node is one server of the herd.
type Node struct {
	// Name is what clients see in AT lines. 1 to 32 letters, digits, _ and -.
	Name line.NodeName `yaml:"name"`

	// Listen is the HOST:PORT for clients. An empty host means all interfaces, port 0 any free one.
	Listen string `yaml:"listen" is:"address"`

	// HTTP is the HOST:PORT of the node's status page, API, metrics and health; empty means none.
	HTTP string `yaml:"http" is:"address or none"`
}

// Bus is what carries the reports between the nodes.
type Bus struct {
	// URL is one or more NATS servers, separated by commas: nats:// or tls://, HOST, optionally :PORT (4222 when not
	// given) and, before the host, USER:PASSWORD@ or TOKEN@. Empty means that herd up embeds a server.
	URL string `yaml:"url" is:"servers or none" secret:"true" help:"NATS servers, nats://HOST:PORT or tls://HOST:PORT, separated by commas; empty: herd up embeds one"`

	// Keys is a directory that herd bus keys made: a node shows the bus the credentials that it finds there under
	// nodes/NAME, an embedded server knows the nodes by them. Empty means no credentials but those in URL.
	Keys string `yaml:"keys" help:"directory with the keys that 'herd bus keys' made; empty: none"`

	// Listen is the HOST:PORT where an embedded server also takes NATS clients over TCP; empty means nowhere.
	Listen string `yaml:"listen" is:"address or none" help:"HOST:PORT on which an embedded NATS server takes observers; empty: none"`

	// Micro has every node answer as a NATS micro service where a client is.
	Micro bool `yaml:"micro" help:"nodes answer on the bus where a client is, as a NATS micro service"`
}

// TLS secures the ports for clients. Without a certificate they take plain TCP. Paths that are not absolute are relative to the
// working directory.
type TLS struct {
	// Cert is the PEM file of the server's certificate, followed by those between it and a CA that clients trust. Given
	// together with Key, or not at all.
	Cert string `yaml:"cert" live:"true" help:"PEM file of the server's certificate chain for clients; empty: they speak plain TCP"`

	// Key is the PEM file of the certificate's private key. It belongs to the user of this process and is readable by
	// nobody else, or to root, who may share it with a group.
	Key string `yaml:"key" live:"true" help:"PEM file of the private key to --tls-cert, which nobody else may read"`

	// Clients is none, or require: then a client needs a certificate of CA, reports only for the IDs that are in it, and is
	// disconnected when it expires.
	Clients string `yaml:"clients" live:"true" is:"clients" help:"certificates of clients: none, or require, which binds client IDs to them"`

	// CA is the PEM file of the CAs that clients' certificates must come from. Given together with require.
	CA string `yaml:"ca" live:"true" help:"PEM file of the CAs that certificates of clients must come from"`
}

// Places answers what is near a client. Google's API key is no part of it: see [Config.PlacesKey].
type Places struct {
	// Provider is who is asked: gazetteer, the table of the world that is built in; file, that of File; google, its Places API
	// (New); google-legacy, its Nearby Search; or overpass, OpenStreetMap.
	Provider string `yaml:"provider" is:"provider" help:"who is asked for places: gazetteer, file, google, google-legacy or overpass"`

	// Endpoint is the URL of the API of a provider behind a network: a proxy, or an instance of one's own. Empty means Google's;
	// overpass has to have one.
	Endpoint string `yaml:"endpoint" is:"endpoint or none" help:"URL of the API of google or overpass; empty: Google's own"`

	// KeyFile is a file with Google's API key, which nobody else may read.
	KeyFile string `yaml:"key_file" help:"file with Google's API key, which nobody else may read; empty: HERD_PLACES_KEY has it"`

	// File is what 'herd places import' made, for the provider file.
	File string `yaml:"file" help:"data file of 'herd places import', for the provider file"`

	// Fields are what google is asked for besides the basic fields, with commas between. Each may raise the price of a question.
	Fields string `yaml:"fields" is:"fields" help:"more to ask google for: rating, userRatingCount, priceLevel, currentOpeningHours"`

	// Rate is how many questions a second one process may ask a provider behind a network. Others wait for their turn.
	Rate int `yaml:"rate" help:"questions a second of this process to google or overpass, 0: unlimited"`

	// Fallback is who answers when the provider fails, and says so: gazetteer, or none.
	Fallback string `yaml:"fallback" is:"fallback" help:"who answers when the provider fails: gazetteer or none"`

	// Timeout is how long one question to a provider may take before the client is told that it failed. Above 0, for
	// a reply must not hang.
	Timeout time.Duration `yaml:"timeout" live:"true" is:"positive" help:"how long a search for nearby places may take, above 0"`
}

// Store makes what a node knows outlast its process.
type Store struct {
	// Dir is a directory in which each node has one of its own, named after it, for what it knows. Empty means that it is
	// in memory alone.
	Dir string `yaml:"dir" help:"directory in which each node keeps what it knows, under its name; empty: in memory alone"`

	// Mode is interval, which writes to disk within a moment after a client was answered, or always, which writes before.
	Mode string `yaml:"mode" is:"mode" help:"when a report is on disk: interval, soon after its client is answered, or always, before"`
}

// Limits protect a node from its clients, and its memory from a stalled link and from clients that are gone. Each but Queue may be 0,
// which means no limit.
type Limits struct {
	// Future is how far a client's time may be ahead of the node's clock. A report that is further ahead is refused.
	Future time.Duration `yaml:"future" live:"true" help:"how far the time of a client's report may be ahead of the clock, 0: any"`

	// Idle is how long a client may say nothing before its connection is closed.
	Idle time.Duration `yaml:"idle" live:"true" help:"how long a client may say nothing, 0: for ever"`

	// Line is how long a client may take to complete a line it has begun.
	Line time.Duration `yaml:"line" live:"true" help:"how long a client may take to complete a line it has begun, 0: for ever"`

	// Write is how long a client may take to accept its replies.
	Write time.Duration `yaml:"write" live:"true" help:"how long a client may take to accept its replies, 0: for ever"`

	// Connections is how many clients may be connected to one node at a time.
	Connections int `yaml:"connections" live:"true" help:"client connections to a node at a time, 0: unlimited"`

	// PerAddress is how many clients may be connected to one node at a time from one IP address.
	PerAddress int `yaml:"per_address" live:"true" help:"client connections to a node at a time from one IP address, 0: unlimited"`

	// Rate is how many lines a second one connection may send.
	Rate int `yaml:"rate" live:"true" help:"lines a second from one connection, 0: unlimited"`

	// NewClients is how many client IDs a node has not heard of may be introduced from one IP address in a minute.
	NewClients int `yaml:"new_clients" live:"true" help:"new client IDs a minute from one IP address, 0: unlimited"`

	// Retention is how long a report is kept after its server received it. It must be the same at all nodes.
	Retention time.Duration `yaml:"retention" help:"how long a report is kept, the same at all nodes, 0: for ever"`

	// CatchUp is how long a node that starts may take to learn what its neighbours know, before it is ready all the same.
	CatchUp time.Duration `yaml:"catch_up" help:"how long a starting node may take to learn what its neighbours know before it is ready, 0: no time"`

	// Queue is how many clients' reports may wait on one link. Beyond that the queue is emptied, and repair brings the
	// neighbour what it missed. At least 1.
	Queue int `yaml:"queue" live:"true" is:"positive" help:"clients whose reports may wait on one link, at least 1"`
}

// HTTP is who may look at a node over HTTP, and what there is to see. The token is no part of it: see [Config.HTTPToken].
type HTTP struct {
	// TokenFile is a file with the token that whoever asks must show, which nobody else may read.
	TokenFile string `yaml:"token_file" help:"file with the token that the status page and the API ask for; empty: HERD_HTTP_TOKEN has it, if any"`

	// Open lets everybody who reaches an address that is not of this machine alone look without a token.
	Open bool `yaml:"open" help:"everybody who reaches the status page may look, without a token"`

	// Hosts are names and addresses under which nodes are reached over HTTP besides their own, as a proxy in front of them has, with
	// commas between. Asked for by any other name a node refuses: so no web page can have its visitors ask.
	Hosts string `yaml:"hosts" is:"hosts or none" help:"names under which browsers reach the nodes, besides their own addresses, separated by commas"`

	// Observe is whether the page shows what travels in the whole herd, as an observer of the bus: on, off, or auto, which is on in
	// 'herd up' with a bus of its own.
	Observe string `yaml:"observe" is:"observe" help:"show what travels in the whole herd, as an observer of the bus: auto (in herd up), on or off"`

	// Pprof serves profiles of the process under /debug/pprof.
	Pprof bool `yaml:"pprof" help:"serve profiles of the process under /debug/pprof"`
}

// Trace sends traces of reports to a collector.
type Trace struct {
	// Endpoint is the URL of an OTLP collector over HTTP; empty means that nothing is traced.
	Endpoint string `yaml:"endpoint" is:"collector or none" help:"URL of an OpenTelemetry collector (OTLP over HTTP); empty: no traces"`

	// OneIn is how many reports of clients there are for one that is traced. At least 1.
	OneIn int `yaml:"one_in" is:"positive" help:"trace one in so many reports of clients, at least 1"`
}

// Log is what the nodes write down.
type Log struct {
	// Level is the least severe kind of entry that is written: debug, info (one per line of a client), warn or error.
	Level string `yaml:"level" live:"true" is:"level" help:"least severe entries to log: debug, info, warn or error"`

	// Format is console, for people, or json, for programs.
	Format string `yaml:"format" is:"format" help:"form of the log entries: console or json"`

	// Dir is a directory that gets one log file per node; empty means standard error.
	Dir string `yaml:"dir" help:"directory for one log file per node; empty: standard error"`
}

// Topology returns the graph of Nodes and Links.
func (c *Config) Topology() *topology.Topology { return c.topology }

// PlacesKey returns Google's API key as HERD_PLACES_KEY holds it, or nothing.
func (c *Config) PlacesKey() string { return c.placesKey }

// HTTPToken returns the token for HTTP as HERD_HTTP_TOKEN holds it, or nothing.
func (c *Config) HTTPToken() string { return c.httpToken }

// Node returns the node called name, and whether there is one.
func (c *Config) Node(name line.NodeName) (Node, bool) {
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return c.Nodes[i], true
}
