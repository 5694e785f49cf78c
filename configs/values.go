package configs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Value is one effective setting, as herd config shows it.
type Value struct {
	Key    string `json:"key"`    // dotted, as in bus.url
	Value  string `json:"value"`  // as a flag takes it; for nodes and links their YAML, in one line
	Source Source `json:"source"` // in JSON what Source.String returns
}

// Values returns every setting, in the order of herd.yaml. In bus.url, *** stands for user, password and token.
func (c *Config) Values() []Value {
	fields := reflect.ValueOf(c).Elem()
	list := make([]Value, len(configKeys))
	for i, k := range configKeys {
		text := show(fields.FieldByIndex(k.index).Interface())
		if k.secret {
			text = redact(text)
		}
		list[i] = Value{k.name, text, c.sources[k.name]}
	}
	return list
}

// Fixed returns the keys that another configuration gives other values, and that cannot change while a process runs.
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

// show returns a setting as text that reads back as the same.
func show(value any) string {
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

// shorten leaves out the units that say nothing: 1h0m0s is 1h.
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
	if err := n.Encode(list); err != nil {
		panic(fmt.Sprintf("configs: encode %T: %v", list, err)) // nothing in a Config is beyond YAML
	}
	n.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&n)
	if err != nil {
		panic(fmt.Sprintf("configs: encode %T: %v", list, err))
	}
	return strings.TrimSpace(string(text))
}
