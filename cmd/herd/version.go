package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"herd/cmd/herd/internal/page"
	"herd/cmd/herd/internal/terminal"
	statuspage "herd/node/status/page"
	"herd/places/gazetteer"
)

const (
	ownLicence  = "Apache-2.0"
	natsClient  = "github.com/nats-io/nats.go"
	natsService = "github.com/nats-io/nats-server/v2"
)

// version returns the command that shows what this program is made of.
func (p *program) version() *cobra.Command {
	var licences, asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Show the version, and the licences of what is built in",
		Example: `  herd version
  herd version --licences
  herd version --licences --json`,
		RunE: func(_ *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("this program was built without information about itself; build it with Go modules")
			}
			b := describe(info)
			if licences {
				b.Licences = licencesOf(info)
			}
			return p.show(asJSON, b, b.text())
		},
	}
	c.Flags().BoolVar(&licences, "licences", false, "and the licences of the program and its data, and the modules linked in")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// build is what the program was made of.
type build struct {
	page.Program
	Time       string    `json:"time,omitempty"`     // of the revision
	Modified   bool      `json:"modified,omitempty"` // the sources differ from the revision
	NATSServer string    `json:"nats_server"`
	NATSClient string    `json:"nats_client"`
	Licences   *licences `json:"licences,omitempty"`
}

type licences struct {
	Herd    string                  `json:"herd"`
	Data    []gazetteer.Attribution `json:"data"` // the sources of places and outlines that are built in
	Modules []module                `json:"modules"`
}

// module is a Go module whose code is linked in.
type module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

func describe(info *debug.BuildInfo) build {
	b := build{Program: page.Program{
		Version: cmp.Or(info.Main.Version, "(devel)"), Go: info.GoVersion, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	for _, m := range modules(info) {
		switch m.Path {
		case natsService:
			b.NATSServer = m.Version
		case natsClient:
			b.NATSClient = m.Version
		}
	}
	return b
}

// thisProgram is what makes reports here.
func thisProgram() page.Program {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return page.Program{Version: "unknown"}
	}
	return describe(info).Program
}

// ownVersion returns the program's version in a word.
func ownVersion() string { return thisProgram().Version }

// modules returns what is linked in, with the version that was in fact used.
func modules(info *debug.BuildInfo) []module {
	list := make([]module, len(info.Deps))
	for i, d := range info.Deps {
		list[i] = module{d.Path, d.Version}
		if d.Replace != nil {
			list[i].Version = cmp.Or(d.Replace.Version, d.Replace.Path)
		}
	}
	return list
}

func licencesOf(info *debug.BuildInfo) *licences {
	outlines := gazetteer.Attribution{
		Source: "naturalearth", Licence: "public domain", URL: "https://www.naturalearthdata.com/about/terms-of-use/", Text: statuspage.Outlines,
	}
	return &licences{Herd: ownLicence, Modules: modules(info), Data: append(gazetteer.Attributions(), outlines)}
}

func (b build) text() []byte {
	var text bytes.Buffer
	row := func(name, value string) { fmt.Fprintf(&text, "%s\t%s\n", name, value) }
	row("herd", b.Version)
	if b.Revision != "" {
		revision := b.Revision + " " + b.Time
		if b.Modified {
			revision += ", modified"
		}
		row("revision", revision)
	}
	row("go", b.Go+" "+b.Platform)
	row("nats-server", b.NATSServer)
	row("nats.go", b.NATSClient)
	if b.Licences != nil {
		b.Licences.write(&text)
	}
	return terminal.Align(text.Bytes())
}

func (l *licences) write(text *bytes.Buffer) {
	fmt.Fprintf(text, "\nherd is licensed under %s.\n\ndata built in:\n", l.Herd)
	for _, d := range l.Data {
		fmt.Fprintf(text, "  %s\n    %s, %s\n", d.Text, d.Licence, d.URL)
	}
	text.WriteString("\nmodules linked in:\n")
	for _, m := range l.Modules {
		fmt.Fprintf(text, "  %s %s\n", m.Path, m.Version)
	}
}
