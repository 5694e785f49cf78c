package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// key is a key of the configuration: a tagged field that is not a section.
type key struct {
	name   string // dotted, as in limits.rate
	typ    reflect.Type
	index  []int  // of the field, from the outermost struct
	is     string // name of its check; empty: any value of the type
	help   string
	secret bool
	live   bool // a running process can change it
}

// configKeys are all keys, in the order of herd.yaml; nodeKeys are those of an entry of nodes.
var (
	configKeys = keysOf(reflect.TypeFor[Config](), "", nil)
	nodeKeys   = keysOf(reflect.TypeFor[Node](), "", nil)
)

// keysOf returns the keys of a struct and of the structs in it. prefix is the dotted key of the struct, outer its index.
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

// scalar reports whether a key has one value, unlike nodes and links.
func (k key) scalar() bool { return k.typ.Kind() != reflect.Slice }

// within reports whether name is the key or its section.
func (k key) within(name string) bool { return k.name == name || strings.HasPrefix(k.name, name+".") }

// flag is the name of the key's flag, without its dashes: bus-url for bus.url.
func (k key) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(k.name) }

// variable is the name of the key's environment variable: HERD_BUS_URL for bus.url.
func (k key) variable() string {
	return variables + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// kind is the type of a scalar in help texts.
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

// Source is where a value came from.
type Source struct {
	Kind string // default, file, variable or flag
	Name string // path of the file, name of the variable, or flag with its dashes; empty for a default
}

// String returns for example "default", "file herd.yaml", "variable HERD_BUS_URL" or "flag --bus-url".
func (s Source) String() string { return strings.TrimSpace(s.Kind + " " + s.Name) }

// MarshalText makes a source the text of String in JSON.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// flagText is the value of a flag as written. Load checks it, together with everything else.
type flagText struct {
	written string
	kind    string
}

func (t *flagText) String() string           { return t.written }
func (t *flagText) Set(written string) error { t.written = written; return nil }
func (t *flagText) Type() string             { return t.kind }

// AddFlags adds the flags of scalar keys to fs: of all, or of the named keys and sections, as in "limits" or "bus.url". Load reads and checks
// their values. AddFlags panics if a name is neither a scalar key nor a section.
func AddFlags(fs *pflag.FlagSet, keys ...string) {
	for _, name := range keys {
		if !slices.ContainsFunc(configKeys, func(k key) bool { return k.scalar() && k.within(name) }) {
			panic(fmt.Sprintf("configs: no flag for %q", name))
		}
	}
	values := readYAML(defaults, Source{Kind: "default"}).values
	for _, k := range configKeys {
		wanted := len(keys) == 0 || slices.ContainsFunc(keys, k.within)
		if k.scalar() && wanted {
			f := fs.VarPF(&flagText{format(values[k.name]), k.kind()}, k.flag(), "", k.help)
			if k.kind() == "bool" {
				f.NoOptDefVal = "true"
			}
		}
	}
}

// Value is the value of a key, as herd config shows it.
type Value struct {
	Key    string `json:"key"`   // dotted, as in bus.url
	Value  string `json:"value"` // as a flag takes it; for nodes and links YAML in one line
	Source Source `json:"source"`
}

// Values returns the values of all keys, in the order of herd.yaml. In bus.url, *** stands for user, password and token.
func (c *Config) Values() []Value {
	fields := reflect.ValueOf(c).Elem()
	list := make([]Value, len(configKeys))
	for i, k := range configKeys {
		text := format(fields.FieldByIndex(k.index).Interface())
		if k.secret {
			text = redact(text)
		}
		list[i] = Value{k.name, text, c.sources[k.name]}
	}
	return list
}

// Fixed returns the keys that have another value in other and that a running process cannot change.
func (c *Config) Fixed(other *Config) []string {
	var changed []string
	mine, theirs := reflect.ValueOf(c).Elem(), reflect.ValueOf(other).Elem()
	for _, k := range configKeys {
		if !k.live && !reflect.DeepEqual(mine.FieldByIndex(k.index).Interface(), theirs.FieldByIndex(k.index).Interface()) {
			changed = append(changed, k.name)
		}
	}
	return changed
}

// format returns a value as text that is parsed to the same value.
func format(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case time.Duration:
		return shorten(v.String())
	default:
		return inline(v)
	}
}

// shorten omits zero units at the end of a duration: 1h0m0s is 1h.
func shorten(duration string) string {
	if strings.HasSuffix(duration, "m0s") {
		duration = strings.TrimSuffix(duration, "0s")
	}
	if strings.HasSuffix(duration, "h0m") {
		duration = strings.TrimSuffix(duration, "0m")
	}
	return duration
}

// inline returns a list as YAML in one line.
func inline(list any) string {
	var n yaml.Node
	err := n.Encode(list)
	n.Style = yaml.FlowStyle
	text, marshalErr := yaml.Marshal(&n)
	if err := errors.Join(err, marshalErr); err != nil {
		panic(fmt.Sprintf("configs: encode %T: %v", list, err)) // does not happen: a Config has only types that YAML has
	}
	return strings.TrimSpace(string(text))
}
