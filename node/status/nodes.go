package status

import (
	"net/http"
	"net/url"
	"sync"

	"herd/node/line"
	"herd/node/topology"
)

// addNodes adds /api/v1/nodes, the records of all nodes of the herd, and /api/v1/topology.
func (s *Server) addNodes() {
	s.mux.query("GET /api/v1/nodes", nil, func(w http.ResponseWriter, _ *http.Request, _ url.Values) {
		reply(w, http.StatusOK, s.config.Source.Herd())
	})
	s.mux.query("GET /api/v1/topology", nil, func(w http.ResponseWriter, _ *http.Request, _ url.Values) {
		reply(w, http.StatusOK, s.graph.of(s.config.Source.Topology(), s.config.Node))
	})
}

// Node is the record of a node of the herd, which it sends along the links every 5 s, in a large herd less often: so from a part of the herd
// that is cut off no newer one arrives. A record is forgotten after 10 minutes.
type Node struct {
	Name          string      `json:"name"`
	Self          bool        `json:"self"` // it is the node that answers, and the record is of this moment
	Version       string      `json:"version"`
	Incarnation   string      `json:"incarnation"`    // of its start: 32 hexadecimal digits
	AgeSeconds    float64     `json:"age_seconds"`    // of the record
	UptimeSeconds float64     `json:"uptime_seconds"` // of the node when it made the record
	Clients       int         `json:"clients"`        // whose last report it held
	Digest        string      `json:"digest"`         // 16 hexadecimal digits
	Links         []LinkState `json:"links"`
}

// LinkState is the state of a link as the node at one end sees it.
type LinkState struct {
	Peer  string `json:"peer"`
	State string `json:"state"` // "down", "catching up" or "up"
}

// Graph is the topology as a node is configured, laid out for a picture.
type Graph struct {
	Nodes []GraphNode        `json:"nodes"`
	Links [][2]line.NodeName `json:"links"`
	Self  line.NodeName      `json:"self"`
}

// GraphNode is a node of the graph. Linked nodes are about 1 apart, if the graph permits it.
type GraphNode struct {
	Name line.NodeName `json:"name"`
	X    float64       `json:"x"` // 0 or more, to the right
	Y    float64       `json:"y"` // 0 or more, down
}

// graphColumns are the columns of the layout's grid, of which a link takes two.
const graphColumns = 11

// graphCache is the graph of the last topology that was requested, since the layout of a large one takes a second.
type graphCache struct {
	mu       sync.Mutex
	topology *topology.Topology
	graph    Graph
}

func (c *graphCache) of(t *topology.Topology, self string) Graph {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topology == t {
		return c.graph
	}
	nodes, links := t.Nodes(), t.Links()
	g := Graph{Nodes: make([]GraphNode, len(nodes)), Links: append([][2]line.NodeName{}, links...), Self: line.NodeName(self)}
	var width, height float64
	for i, p := range t.Place(graphColumns) {
		g.Nodes[i] = GraphNode{nodes[i], float64(p.Column) / 2, float64(p.Row)}
		width, height = max(width, g.Nodes[i].X), max(height, g.Nodes[i].Y)
	}
	if height > width { // screens are wide
		for i, n := range g.Nodes {
			g.Nodes[i].X, g.Nodes[i].Y = n.Y, n.X
		}
	}
	c.topology, c.graph = t, g
	return g
}
