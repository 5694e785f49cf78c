package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Path: "herd", Version: "v1.2.3"},
		Deps: []*debug.Module{
			{Path: natsService, Version: "v2.15.2"},
			{Path: natsClient, Version: "v1.55.0", Replace: &debug.Module{Path: "../nats.go"}},
			{Path: "example.com/x", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/y", Version: "v1.0.1"}},
		},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "5b3edd5"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	b := describe(info)
	want := `herd         v1.2.3
revision     5b3edd5 2026-01-02T03:04:05Z, modified
go           go1.26.8 ` + runtime.GOOS + "/" + runtime.GOARCH + `
nats-server  v2.15.2
nats.go      ../nats.go
`
	if got := string(b.text()); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	if got := licencesOf(info).Modules[2]; got != (module{"example.com/x", "v1.0.1"}) {
		t.Errorf("module %v", got)
	}
}
