package configs

import (
	"fmt"
	"reflect"

	"herd/node/line"

	"go.yaml.in/yaml/v3"
)

// nodes reads the list of nodes. Whether the names are valid is left to the topology.
func (d document) nodes(n *yaml.Node) {
	n = target(n)
	if n.Kind != yaml.SequenceNode {
		d.torn = true
		d.fault(n, "nodes", `is not a list; write - {name: NAME, listen: "HOST:PORT"} for each node`)
		return
	}
	nodes := make([]Node, len(n.Content))
	for i, entry := range n.Content {
		nodes[i] = d.node(entry, fmt.Sprintf("nodes[%d]", i))
	}
	d.set("nodes", nodes, d.source)
}

// node reads one entry of the list; at is its dotted key, as in nodes[2].
func (d document) node(n *yaml.Node, at string) Node {
	known := make([]string, len(nodeKeys))
	for i, k := range nodeKeys {
		known[i] = k.name
	}
	given := make(map[string]bool)
	texts := make(map[string]string)
	isMapping := d.fields(n, at, known, func(name string, value *yaml.Node) bool {
		k, ok := find(nodeKeys, name[len(at)+1:])
		if !ok {
			return false
		}
		given[k.name] = true
		if v, ok := d.scalar(value, k, name); ok {
			texts[k.name] = v.(string)
		}
		return true
	})
	if isMapping && !given["name"] {
		d.fault(n, at+".name", "is missing; every node needs a name")
	}
	if isMapping && !given["listen"] {
		d.fault(n, at+".listen", "is missing; write HOST:PORT, the address for clients")
	}
	if _, named := texts["name"]; !named {
		d.torn = true
	}
	return Node{Name: line.NodeName(texts["name"]), Listen: texts["listen"], HTTP: texts["http"]}
}

// links reads the list of links. Whether there are such nodes is left to the topology.
func (d document) links(n *yaml.Node) {
	const form = "write - [NAME, NAME] for each link"
	n = target(n)
	if n.Kind != yaml.SequenceNode {
		d.torn = true
		d.fault(n, "links", "is not a list; %s", form)
		return
	}
	links := make([][2]line.NodeName, len(n.Content))
	for i, entry := range n.Content {
		entry = target(entry)
		at := fmt.Sprintf("links[%d]", i)
		if entry.Kind != yaml.SequenceNode || len(entry.Content) != 2 {
			d.torn = true
			d.fault(entry, at, "is not a pair of names; %s", form)
			continue
		}
		for j, end := range entry.Content {
			name, ok := d.scalar(end, key{typ: reflect.TypeFor[line.NodeName]()}, at)
			if !ok {
				d.torn = true
				continue
			}
			links[i][j] = line.NodeName(name.(string))
		}
	}
	d.set("links", links, d.source)
}
