package importer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe that nobody writes to, or not on, does not keep an import that is to end.
func TestPipeEnds(t *testing.T) {
	dir := t.TempDir()
	for _, written := range []string{"", "name,lat,lon\nA,1,2\n"} {
		pipe := filepath.Join(dir, "pipe.csv")
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
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for who reads
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
		if written == "" { // what still waits to open it is let go
			w, err := os.OpenFile(pipe, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
		}
		if err := os.Remove(pipe); err != nil {
			t.Fatal(err)
		}
	}
}
