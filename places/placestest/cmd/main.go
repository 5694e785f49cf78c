// Command cmd serves a placestest.Server over TCP, for a herd in containers.
//
//	cmd [-listen ADDRESS] [-fault FAULT]
//
// POST /behave?fault=FAULT changes the fault of the answers, GET /seen returns the number of requests so far.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"herd/places/placestest"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	listen := flag.String("listen", ":8080", "`address` to listen on")
	fault := flag.String("fault", string(placestest.Well), "well, or the fault of the answers, one of "+fmt.Sprint(placestest.Faults()))
	flag.Parse()
	if err := known(*fault); err != nil {
		return err
	}
	var providers placestest.Server
	providers.Behave(placestest.Fault(*fault))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := http.Server{Addr: *listen, Handler: handler(&providers), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handler serves the provider, /behave and /seen.
func handler(providers *placestest.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", providers)
	mux.HandleFunc("POST /behave", func(w http.ResponseWriter, r *http.Request) {
		fault := r.FormValue("fault")
		if err := known(fault); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		providers.Behave(placestest.Fault(fault))
	})
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, _ *http.Request) {
		requests, _ := providers.Seen()
		fmt.Fprintln(w, requests)
	})
	return mux
}

func known(fault string) error {
	if fault == string(placestest.Well) || slices.Contains(placestest.Faults(), placestest.Fault(fault)) {
		return nil
	}
	return fmt.Errorf("no such fault: %q; want well or one of %v", fault, placestest.Faults())
}
