package importer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A cancelled import ends while it waits for the other end of a named pipe, or for more of its content.
func TestPipeEnds(t *testing.T) {
	dir := t.TempDir()
	for i, written := range []string{"", "name,lat,lon\nA,1,2\n"} {
		// Each import has a pipe of its own: a cancelled one may still be about to open its pipe, and would read what the next one is sent.
		pipe := filepath.Join(dir, fmt.Sprint(i, ".csv"))
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error)
		go func() {
			_, err := Import(ctx, Config{Input: pipe, Output: filepath.Join(dir, "out"), Attributed: true})
			done <- err
		}()
		if written != "" {
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the import has opened the pipe
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.WriteString(written); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v", written, err)
		}
		if written == "" { // let the goroutine that opens the pipe end
			w, err := os.OpenFile(pipe, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
		}
	}
}
