// Replay serves the answers of package replay, for a herd that is to be tried
// without a network.
//
//	replay [-listen ADDRESS] [-way WAY]
//
// POST /behave?way=WAY changes how it behaves, GET /seen tells how many requests
// there were.
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

	"herd/places/replay"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	listen := flag.String("listen", ":8080", "`address` to listen on")
	way := flag.String("way", string(replay.Well), "how to answer: well, or one of "+fmt.Sprint(replay.Ways()))
	flag.Parse()
	if err := known(*way); err != nil {
		return err
	}
	var providers replay.Server
	providers.Behave(replay.Way(*way))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := http.Server{Addr: *listen, Handler: handler(&providers), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // whoever is being answered is a test
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handler serves the providers, and how they behave.
func handler(providers *replay.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", providers)
	mux.HandleFunc("POST /behave", func(w http.ResponseWriter, r *http.Request) {
		way := r.FormValue("way")
		if err := known(way); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		providers.Behave(replay.Way(way))
	})
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, _ *http.Request) {
		requests, _ := providers.Seen()
		fmt.Fprintln(w, requests)
	})
	return mux
}

func known(way string) error {
	if way == string(replay.Well) || slices.Contains(replay.Ways(), replay.Way(way)) {
		return nil
	}
	return fmt.Errorf("replay: no such way: %q; there are well and %v", way, replay.Ways())
}
