package secret_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"herd/configs/secret"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(path, []byte("SU"), 0o600); err != nil {
		t.Fatal(err)
	}
	group := fs.FileMode(0o600)
	if os.Getuid() == 0 {
		group = 0o640 // root may share what is its own with a group
	}
	for mode := fs.FileMode(0o400); mode < 0o1000; mode++ {
		if mode&0o400 == 0 {
			continue
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		got, err := secret.Read(path)
		if mode&^group&^0o100 == 0 {
			if err != nil || string(got) != "SU" {
				t.Errorf("mode %o: %q, %v", mode, got, err)
			}
			continue
		}
		want := fmt.Sprintf("%s can be read by others (mode %#o); run chmod %o %s", path, mode, group, path)
		if err == nil || err.Error() != want {
			t.Errorf("mode %o: %v, want %s", mode, err, want)
		}
	}
	if _, err := secret.Read(filepath.Dir(path)); err == nil {
		t.Error("a directory is no secret")
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Read(pipe); err == nil || err.Error() != pipe+" is not a file" {
		t.Errorf("of a pipe: %v", err)
	}
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, 65532, -1)); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%s belongs to another user (65532); run chown 0 %s", path, path)
		if _, err := secret.Read(path); err == nil || err.Error() != want {
			t.Errorf("of another user: %v, want %s", err, want)
		}
	}
}
