package main

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the commands herd, nats-server, nats and request for scripts and for tests that run it as a process of its own.
func TestMain(m *testing.M) { testscript.Main(m, commands) }

var commands = map[string]func(){"herd": main, "nats-server": natsServer, "nats": natsTool, "request": request}

var update = flag.Bool("update", false, "rewrite what scripts expect, to be reviewed as a diff")

// Scripts type commands as a user would. Besides those of testscript they have
//
//	startherd            run the five campus nodes in the test, on any free ports
//	stopherd             stop them
//	freeherd             only write the configuration, with ports that are free, for a script that runs herd up
//	waitready [NODE...]  wait until these nodes, or all, are ready
//	connected            wait until all nodes have reached the bus
//	everywhere CLIENT    wait until all nodes know a client
//	forgotten CLIENT [NODE...] wait until all nodes, or some, do not know a client
//	certs                write certificates and keys (see there)
//	provider WAY...      have a provider of places at $PROVIDER, which answers in these ways, the last of them for good
//	requested NUMBER TEXT the provider has had so many requests since then, all with that text
//
// startherd and freeherd write $WORK/herd.yaml, name it in $HERD_CONFIG, and set for each node $GOLOMAN to its address and
// $GOLOMAN_HTTP to that of its health, and $BUS to the URL of the bus. $NOT_A_NODE is the address of some other HTTP server, and $ANDORRA the path of an extract of OpenStreetMap.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			h := newScriptHerd(t)
			e.Values[herdKey{}] = h
			providers := httptest.NewServer(&h.places)
			e.Defer(providers.Close)
			e.Setenv("PROVIDER", providers.URL)
			e.Defer(func() { h.stop() })
			other := httptest.NewServer(http.NotFoundHandler())
			e.Defer(other.Close)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a command under the race detector would end a second late
			andorra, err := filepath.Abs("../../places/importer/testdata/andorra-poi.osm.pbf")
			if err != nil {
				return err
			}
			e.Setenv("ANDORRA", andorra)
			e.Setenv("NOT_A_NODE", other.Listener.Addr().String())
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"startherd":  scriptCommand(0, 0, (*scriptHerd).start),
			"stopherd":   scriptCommand(0, 0, (*scriptHerd).stopped),
			"freeherd":   scriptCommand(0, 0, (*scriptHerd).free),
			"waitready":  scriptCommand(0, 5, (*scriptHerd).ready),
			"connected":  scriptCommand(0, 0, (*scriptHerd).connected),
			"everywhere": scriptCommand(1, 1, (*scriptHerd).everywhere),
			"forgotten":  scriptCommand(1, 6, (*scriptHerd).forgotten),
			"certs":      scriptCommand(0, 0, (*scriptHerd).certs),
			"provider":   scriptCommand(1, 99, (*scriptHerd).provide),
			"requested":  scriptCommand(2, 2, (*scriptHerd).requested),
		},
	})
}
