package configs

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

// flagText is the value of a flag: what was written, for Load to judge together with everything else.
type flagText struct {
	written string
	kind    string
}

func (t *flagText) String() string           { return t.written }
func (t *flagText) Set(written string) error { t.written = written; return nil }
func (t *flagText) Type() string             { return t.kind }

// AddFlags adds the flags of scalar keys to fs: of all of them, or of the named keys and sections, as in "limits" or
// "bus.url". Their help shows type and default. What is given with them counts in [Load], which is also where a faulty
// value is found. A name that is not of a scalar key or a section panics, being a mistake of the program.
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
			f := fs.VarPF(&flagText{show(values[k.name]), k.kind()}, k.flag(), "", k.help)
			if k.kind() == "bool" {
				f.NoOptDefVal = "true"
			}
		}
	}
}
