package configs

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// key is one entry of the schema: a tagged field of a struct that is not itself a section.
type key struct {
	name   string // dotted, as in limits.queue
	typ    reflect.Type
	index  []int  // of the field, from the outermost struct
	is     string // name of its check; empty: any value of the type
	help   string
	secret bool
	live   bool // can change while a process runs
}

// Every key, in the order of herd.yaml, and the keys of one entry of nodes.
var (
	configKeys = keysOf(reflect.TypeFor[Config](), "", nil)
	nodeKeys   = keysOf(reflect.TypeFor[Node](), "", nil)
)

// keysOf lists the tagged fields of a struct and of the structs in it; prefix and outer lead to the struct.
func keysOf(t reflect.Type, prefix string, outer []int) []key {
	var keys []key
	for f := range t.Fields() {
		tag, ok := f.Tag.Lookup("yaml")
		index := slices.Concat(outer, f.Index)
		switch {
		case !ok:
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(f.Type, prefix+tag+".", index)...)
		default:
			keys = append(keys, key{
				name: prefix + tag, typ: f.Type, index: index,
				is: f.Tag.Get("is"), help: f.Tag.Get("help"), secret: f.Tag.Get("secret") == "true", live: f.Tag.Get("live") == "true",
			})
		}
	}
	return keys
}

// scalar reports whether a key is one value, as opposed to the lists of nodes and links.
func (k key) scalar() bool { return k.typ.Kind() != reflect.Slice }

// within reports whether a key is name itself or in the section of that name.
func (k key) within(name string) bool { return k.name == name || strings.HasPrefix(k.name, name+".") }

// flag is the name of the key's flag, without its dashes: bus-url for bus.url.
func (k key) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(k.name) }

// variable is the name of the key's environment variable: HERD_BUS_URL for bus.url.
func (k key) variable() string {
	return variables + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// kind is the type of a scalar as help names it.
func (k key) kind() string {
	switch {
	case k.typ == reflect.TypeFor[time.Duration]():
		return "duration"
	case k.typ.Kind() == reflect.Int:
		return "number"
	case k.typ.Kind() == reflect.Bool:
		return "bool"
	default:
		return "text"
	}
}

// find returns the key called name, and whether there is one.
func find(keys []key, name string) (key, bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// Source tells where a value came from.
type Source struct {
	Kind string // default, file, variable or flag
	Name string // path of the file, name of the variable, or flag with its dashes; empty for a default
}

// String returns for example "default", "file herd.yaml", "variable HERD_BUS_URL" or "flag --bus-url".
func (s Source) String() string { return strings.TrimSpace(s.Kind + " " + s.Name) }

// MarshalText writes a source as String does, so that it is one string in JSON.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
