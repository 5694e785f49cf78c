package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"herd/node/line"

	"go.yaml.in/yaml/v3"
)

// document reads one YAML file into a layer.
type document struct {
	*layer
	source Source
}

// readYAML reads a whole file. A document without content sets nothing.
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
		d.set("links", [][2]line.NodeName{}, source)
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

// What the YAML library says begins with a line, if it knows one. Its scanner counts lines from 1, its parser, whose
// messages are the second form, from 0.
var (
	yamlLine   = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	parserText = regexp.MustCompile(`^did not find expected (?:<|node|'-'|key|',')`)
)

// syntax reports what the YAML library says, with its line where every other fault has it.
func (d document) syntax(err error) {
	text, line := err.Error(), 0
	if prefix := yamlLine.FindStringSubmatch(text); prefix != nil {
		line, _ = strconv.Atoi(prefix[1]) // without digits it is unknown
		text = text[len(prefix[0]):]
	}
	if parserText.MatchString(text) {
		line++
	}
	d.faults = append(d.faults, fault{d.source, line, "", "is not YAML: " + text})
}

// section reads the whole document, or the part of it with the dotted key at.
func (d document) section(n *yaml.Node, at string) {
	d.fields(n, at, likely(at), func(name string, value *yaml.Node) bool {
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

// fields visits the fields of a mapping under their dotted keys, and reports those given twice and those for which
// visit returns false. No value at all is an empty mapping: all its lines may be commented out. It returns whether n is
// a mapping.
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
			d.fault(label, shown(name), "is given twice; remove one")
		case strings.Contains(label.Value, "."):
			d.fault(label, shown(name), "has a dot; write OUTER: {INNER: VALUE}")
		case name == "places.key": // what is like it, tls.key, is shown
			d.fault(label, name, "unknown key; put the API key into "+keyVariable+", or into a file and write key_file: FILE")
		case name == "http.token":
			d.fault(label, name, "unknown key; put the token into "+tokenVariable+", or into a file and write token_file: FILE")
		case !visit(name, value):
			d.fault(label, shown(name), "unknown key; %s", instead(nearest(label.Value, known)))
		}
		seen[label.Value] = true
	}
	return true
}

// scalar reads one value, of exactly the key's type.
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

// target follows an alias to what it stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// shown is an unknown key as a fault shows it: never long, and in quotes where it could be mistaken for something else.
func shown(name string) string {
	quoted := quote(name)
	if name == "" || strings.ContainsAny(name, " :;") || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// likely lists what an unknown key of a section may stand for: first its own keys, then every key and section.
func likely(section string) []string {
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
