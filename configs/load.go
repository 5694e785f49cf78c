package configs

import (
	_ "embed"
	"fmt"
	"maps"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// defaults is the file whose values hold where nothing else gives one.
//
//go:embed herd.yaml
var defaults []byte

// Load returns the configuration that flags, environment, file and defaults make together, in this order of strength.
//
// file is the path of a YAML file, as --config gives it; when it is empty, HERD_CONFIG names the file, or there is none.
// fs holds the flags of AddFlags; those that were given count. It may be nil. environ has the form of [os.Environ].
//
// The error is an [*Error] with everything that is wrong, or says that a file of the program itself is.
func Load(file string, fs *pflag.FlagSet, environ []string) (*Config, error) {
	env := make(map[string]string)
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	if file == "" {
		file = env[fileVariable]
	}
	given := []*layer{readFile(file), readVariables(env), readFlags(fs)}
	c, err := merge(readYAML(defaults, Source{Kind: "default"}), given[0], given[1], given[2])
	if err != nil {
		return nil, err
	}
	var faults []fault
	for _, l := range given {
		faults = append(faults, l.faults...)
	}
	if !given[0].torn {
		faults = append(faults, c.connect()...)
	}
	faults = append(faults, c.halves(faults)...)
	if len(faults) > 0 {
		return nil, &Error{faults}
	}
	c.placesKey, c.httpToken = env[keyVariable], env[tokenVariable]
	return c, nil
}

// merge lays the layers over each other with viper, whose own ranks are overrides, configuration and defaults, and fills a
// Config. A key with a fault keeps the value that it would have without.
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
