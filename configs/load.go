package configs

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// defaults has the value of every key that nothing else sets.
//
//go:embed herd.yaml
var defaults []byte

// Load returns the configuration from flags, environment, file and defaults, of which the earlier override the later.
//
// file is the path of a YAML file; if it is empty, HERD_CONFIG names the file, or there is none. fs has the flags of AddFlags; it may be nil.
// environ has the form of [os.Environ].
//
// The error is an [*Error] with all faults.
func Load(file string, fs *pflag.FlagSet, environ []string) (*Config, error) {
	env := make(map[string]string)
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	given := []*layer{readFile(cmp.Or(file, env[fileVariable])), readVariables(env), readFlags(fs)}
	c, err := merge(readYAML(defaults, Source{Kind: "default"}), given[0], given[1], given[2])
	if err != nil {
		return nil, err
	}
	var faults []fault
	for _, l := range given {
		faults = append(faults, l.faults...)
	}
	if !given[0].incomplete {
		faults = append(faults, c.buildTopology()...)
	}
	faults = append(faults, c.dependencies(faults)...)
	if len(faults) > 0 {
		return nil, &Error{faults}
	}
	c.placesKey, c.httpToken = env[keyVariable], env[tokenVariable]
	return c, nil
}

// merge merges the layers with viper, of which the later override the earlier, and fills a Config. A key with a fault has the value of the
// layer below.
func merge(bottom, file, env, flags *layer) (*Config, error) {
	v := viper.New()
	for name, value := range bottom.values {
		v.SetDefault(name, value)
	}
	for _, l := range []*layer{file, env} {
		if err := v.MergeConfigMap(maps.Clone(l.values)); err != nil {
			return nil, fmt.Errorf("merge the configuration: %w", err)
		}
	}
	for name, value := range flags.values {
		v.Set(name, value)
	}
	c := &Config{sources: make(map[string]Source)}
	for _, l := range []*layer{bottom, file, env, flags} {
		maps.Copy(c.sources, l.sources)
	}
	exact := func(d *mapstructure.DecoderConfig) {
		d.TagName, d.WeaklyTypedInput, d.DecodeHook = "yaml", false, nil
	}
	if err := v.UnmarshalExact(c, exact); err != nil {
		return nil, fmt.Errorf("fill the configuration: %w", err)
	}
	return c, nil
}

// Environment variables. The secrets have no key: no flag and no file sets them, and they are never shown.
const (
	variables     = "HERD_"                  // prefix of all
	fileVariable  = variables + "CONFIG"     // path of the file
	keyVariable   = variables + "PLACES_KEY" // secret: Google's API key
	tokenVariable = variables + "HTTP_TOKEN" // secret: the token for HTTP
)

// secrets are the variables of secrets, by the keys that one might try to set instead.
var secrets = map[string]string{"places.key": keyVariable, "http.token": tokenVariable}

// layer is what one source sets.
type layer struct {
	values     map[string]any    // valid ones, by dotted key
	sources    map[string]Source // of values, by dotted key
	faults     []fault
	incomplete bool // a node or link has a fault, so that the topology cannot be checked
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

// parse sets a key to the value in a variable or a flag.
func (l *layer) parse(k key, text string, from Source) {
	value, err := k.parse(text)
	if err != nil {
		l.fault(from, k.name, "%v", err)
		return
	}
	l.set(k.name, value, from)
}

// readFile reads a YAML file. An empty path sets nothing.
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
		err = pathError.Err // without the path, which is in the source
	}
	l := newLayer()
	l.fault(source, "", "cannot be read: %v; check --config and %s", err, fileVariable)
	return l
}

// readVariables reads the variables that begin with HERD_.
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
			l.fault(source, "", "unknown variable; %s", suggest(nearestVariable(name)))
		case !k.scalar():
			l.fault(source, k.name, "come from a file only; name it with --config or %s", fileVariable)
		default:
			l.parse(k, environ[name], source)
		}
	}
	return l
}

// nearestVariable returns the variable that an unknown one is probably meant to be, or "".
func nearestVariable(unknown string) string {
	known := slices.Collect(maps.Keys(secrets))
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

// readFlags reads the flags of keys that were given.
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
