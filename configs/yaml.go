package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"herd/node/line"
)

// document reads one YAML file into a layer.
type document struct {
	*layer
	source Source
}

// readYAML reads a file. An empty document sets nothing.
func readYAML(data []byte, source Source) *layer {
	d := document{newLayer(), source}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, next yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return d.layer
	case err != nil:
		d.syntax(err)
		return d.layer
	}
	d.section(root.Content[0], "")
	if _, nodes := d.values["nodes"]; nodes && d.values["links"] == nil {
		d.set("links", []Link{}, source)
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		d.fault(&next, "", "has a second document; remove it")
	case !errors.Is(err, io.EOF):
		d.syntax(err)
	}
	return d.layer
}

func (d document) fault(at *yaml.Node, key, format string, args ...any) {
	d.faults = append(d.faults, fault{d.source, at.Line, key, fmt.Sprintf(format, args...)})
}

// An error of the YAML library begins with the line, if it is known. The scanner counts lines from 1; the parser, whose errors parserText
// matches, from 0.
var (
	yamlLine   = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	parserText = regexp.MustCompile(`^did not find expected (?:<|node|'-'|key|',')`)
)

// syntax adds an error of the YAML library as a fault, with its line.
func (d document) syntax(err error) {
	text, line := err.Error(), 0
	if prefix := yamlLine.FindStringSubmatch(text); prefix != nil {
		line, _ = strconv.Atoi(prefix[1]) // 0 if there is none
		text = text[len(prefix[0]):]
	}
	if parserText.MatchString(text) {
		line++
	}
	d.faults = append(d.faults, fault{d.source, line, "", "is not YAML: " + text})
}

// section reads the section with the dotted key at; "" is the whole document.
func (d document) section(n *yaml.Node, at string) {
	d.fields(n, at, candidates(at), func(name string, value *yaml.Node) bool {
		k, ok := find(configKeys, name)
		switch {
		case name == "nodes":
			d.nodes(value)
		case name == "links":
			d.links(value)
		case ok:
			if v, ok := d.scalar(value, k, name); ok {
				d.set(name, v, d.source)
			}
		case slices.ContainsFunc(configKeys, func(k key) bool { return k.within(name) }):
			d.section(value, name)
		default:
			return false
		}
		return true
	})
}

// fields calls visit with the fields of a mapping by their dotted keys. Repeated fields, and those for which visit returns false, are faults;
// known are the names to suggest for these. No value is an empty mapping, as all lines may be commented out. It returns whether n is a
// mapping.
func (d document) fields(n *yaml.Node, at string, known []string, visit func(name string, value *yaml.Node) bool) bool {
	n = target(n)
	if n.ShortTag() == "!!null" {
		return true
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, at, "is not a mapping; write KEY: VALUE")
		return false
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		label, value := n.Content[i], n.Content[i+1]
		name := strings.TrimPrefix(at+"."+label.Value, ".")
		switch {
		case label.Kind != yaml.ScalarNode:
			d.fault(label, at, "has a key that is not a word; remove it")
		case seen[label.Value]:
			d.fault(label, safe(name), "is given twice; remove one")
		case strings.Contains(label.Value, "."):
			d.fault(label, safe(name), "has a dot; write OUTER: {INNER: VALUE}")
		case secrets[name] != "": // not suggested like others, because tls.key is a key
			d.fault(label, name, "unknown key; put it into %s, or into a file and write %s_file: FILE", secrets[name], label.Value)
		case !visit(name, value):
			d.fault(label, safe(name), "unknown key; %s", suggest(nearest(label.Value, known)))
		}
		seen[label.Value] = true
	}
	return true
}

// scalar reads a value, which must have exactly the key's type.
func (d document) scalar(n *yaml.Node, k key, name string) (any, bool) {
	n = target(n)
	tag := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fault(n, name, "is not a single value; write a %s", k.kind())
		return nil, false
	case tag == "!!null":
		d.fault(n, name, "has no value; write one or remove the key")
		return nil, false
	case k.kind() == "text" && tag != "!!str":
		d.fault(n, name, "is not text; put it in quotes")
		return nil, false
	}
	v, err := k.parse(n.Value)
	switch kind := k.kind(); {
	case err == nil && kind == "number" && tag != "!!int":
		err = errors.New("is text, not a number; remove the quotes")
	case err == nil && kind == "bool" && tag != "!!bool":
		err = errors.New("is text, not true or false; remove the quotes")
	}
	if err != nil {
		d.fault(n, name, "%v", err)
	}
	return v, err == nil
}

// target resolves an alias.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// safe returns an unknown key as a fault shows it: short, and quoted if it has characters that a key cannot have.
func safe(name string) string {
	quoted := quote(name)
	if name == "" || strings.ContainsAny(name, " :;") || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// candidates returns the names that an unknown key of a section may be meant to be: first its own keys, then all keys and sections.
func candidates(section string) []string {
	var own, all []string
	for _, k := range configKeys {
		outer, _, nested := strings.Cut(k.name, ".")
		if nested && outer == section {
			own = append(own, k.name)
		}
		if nested {
			all = append(all, outer)
		}
		all = append(all, k.name)
	}
	return append(own, all...)
}

// nodes reads the list of nodes. The topology checks the names.
func (d document) nodes(n *yaml.Node) {
	n = target(n)
	if n.Kind != yaml.SequenceNode {
		d.incomplete = true
		d.fault(n, "nodes", `is not a list; write - {name: NAME, listen: "HOST:PORT"} for each node`)
		return
	}
	nodes := make([]Node, len(n.Content))
	for i, entry := range n.Content {
		nodes[i] = d.node(entry, fmt.Sprintf("nodes[%d]", i))
	}
	d.set("nodes", nodes, d.source)
}

// node reads an entry of nodes; at is its dotted key, as in nodes[2].
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
		d.incomplete = true
	}
	return Node{Name: line.NodeName(texts["name"]), Listen: texts["listen"], HTTP: texts["http"]}
}

// links reads the list of links. The topology checks that the nodes exist.
func (d document) links(n *yaml.Node) {
	const form = "write - [NAME, NAME] for each link, or - [NAME, NAME, {every: 10s}]"
	n = target(n)
	if n.Kind != yaml.SequenceNode {
		d.incomplete = true
		d.fault(n, "links", "is not a list; %s", form)
		return
	}
	links := make([]Link, len(n.Content))
	for i, entry := range n.Content {
		entry = target(entry)
		at := fmt.Sprintf("links[%d]", i)
		if !pair(entry) {
			d.incomplete = true
			d.fault(entry, at, "is not a pair of names; %s", form)
			continue
		}
		for j, end := range entry.Content[:2] {
			name, ok := d.scalar(end, key{typ: reflect.TypeFor[line.NodeName]()}, at)
			if !ok {
				d.incomplete = true
				continue
			}
			links[i].Ends[j] = line.NodeName(name.(string))
		}
		if len(entry.Content) == 3 {
			links[i].Every = d.every(entry.Content[2], links[i].Ends, at)
		}
	}
	d.set("links", links, d.source)
}

// pair reports whether an entry of links is two names, or two names and a mapping.
func pair(n *yaml.Node) bool {
	switch len(n.Content) {
	case 2:
		return n.Kind == yaml.SequenceNode
	case 3:
		return n.Kind == yaml.SequenceNode && target(n.Content[2]).Kind == yaml.MappingNode
	default:
		return false
	}
}

// every reads what follows the names of a link: how often at most each of its ends sends the other a report of one client.
func (d document) every(n *yaml.Node, ends [2]line.NodeName, at string) (every [2]time.Duration) {
	pace := key{typ: reflect.TypeFor[time.Duration](), is: "pace"}
	d.fields(n, at, []string{at + ".every"}, func(name string, value *yaml.Node) bool {
		if name != at+".every" {
			return false
		}
		if target(value).Kind != yaml.MappingNode {
			if v, ok := d.scalar(value, pace, name); ok {
				every[0], every[1] = v.(time.Duration), v.(time.Duration)
			}
			return true
		}
		d.fields(value, name, nil, func(sender string, value *yaml.Node) bool {
			end := slices.Index(ends[:], line.NodeName(sender[len(name)+1:]))
			if end < 0 {
				d.fault(value, safe(sender), "is not of an end of the link; write %s, %s or both", ends[0], ends[1])
			} else if v, ok := d.scalar(value, pace, sender); ok {
				every[end] = v.(time.Duration)
			}
			return true
		})
		return true
	})
	return every
}
