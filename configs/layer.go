package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// variables is how the names of all of herd's environment variables begin; fileVariable names the file. keyVariable holds Google's API
// key and tokenVariable what those must show who ask a node over HTTP, which are no settings: no flag and no file of settings has them,
// and none shows them.
const (
	variables     = "HERD_"
	fileVariable  = variables + "CONFIG"
	keyVariable   = variables + "PLACES_KEY"
	tokenVariable = variables + "HTTP_TOKEN"
)

// secrets are the variables that are no settings, by the key that each would have as one.
var secrets = map[string]string{"places.key": keyVariable, "http.token": tokenVariable}

// layer is what one source sets: checked values by dotted key, where each came from, and what was wrong with others.
type layer struct {
	values  map[string]any
	sources map[string]Source
	faults  []fault
	torn    bool // nodes or links could not be read, so nothing can be said about the topology
}

func newLayer() *layer {
	return &layer{values: make(map[string]any), sources: make(map[string]Source)}
}

func (l *layer) set(name string, value any, from Source) {
	l.values[name] = value
	l.sources[name] = from
}

func (l *layer) fault(source Source, key, format string, args ...any) {
	l.faults = append(l.faults, fault{source: source, key: key, text: fmt.Sprintf(format, args...)})
}

// parse sets a key from text that came from a variable or a flag.
func (l *layer) parse(k key, text string, from Source) {
	value, err := k.parse(text)
	if err != nil {
		l.fault(from, k.name, "%v", err)
		return
	}
	l.set(k.name, value, from)
}

// readFile reads a YAML file; a path of "" sets nothing.
func readFile(path string) *layer {
	if path == "" {
		return newLayer()
	}
	source := Source{"file", path}
	data, err := os.ReadFile(path)
	if err == nil {
		return readYAML(data, source)
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err // without the path, which the source has
	}
	l := newLayer()
	l.fault(source, "", "cannot be read: %v; check --config and %s", err, fileVariable)
	return l
}

// readVariables reads the variables that begin with HERD_, in the order of their names.
func readVariables(environ map[string]string) *layer {
	l := newLayer()
	keys := make(map[string]key)
	for _, k := range configKeys {
		keys[k.variable()] = k
	}
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		k, ok := keys[name]
		source := Source{"variable", name}
		switch {
		case !strings.HasPrefix(name, variables) || name == fileVariable || name == keyVariable || name == tokenVariable:
		case !ok:
			l.fault(source, "", "unknown variable; %s", instead(nearestVariable(name)))
		case !k.scalar():
			l.fault(source, k.name, "come from a file only; name it with --config or %s", fileVariable)
		default:
			l.parse(k, environ[name], source)
		}
	}
	return l
}

// nearestVariable returns the variable that an unknown one is likely to stand for, or "".
func nearestVariable(unknown string) string {
	known := slices.Collect(maps.Keys(secrets)) // as if they were some of them
	for _, k := range configKeys {
		known = append(known, k.name)
	}
	name := nearest(unknown[len(variables):], known)
	if variable, ok := secrets[name]; ok {
		return variable
	}
	k, ok := find(configKeys, name)
	if !ok {
		return ""
	}
	return k.variable()
}

// readFlags reads the flags that were given and go by the name of a key.
func readFlags(flags *pflag.FlagSet) *layer {
	l := newLayer()
	if flags == nil {
		return l
	}
	for _, k := range configKeys {
		if f := flags.Lookup(k.flag()); f != nil && f.Changed && k.scalar() {
			l.parse(k, f.Value.String(), Source{"flag", "--" + f.Name})
		}
	}
	return l
}
