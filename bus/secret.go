package bus

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

const maxSecret = 1 << 20 // bytes; what is longer is no key

// ReadSecret returns the content of a file that nobody else may read: a seed or a private key. It follows the rule of PostgreSQL
// for its keys: the file belongs to the user of this process and to nobody else (mode 0600 or less), or to root, who may
// share it with a group (0640 or less).
func ReadSecret(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not keep it waiting
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := guarded(path, info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, maxSecret))
}

// guarded returns what is wrong with who may read a file.
func guarded(path string, info fs.FileInfo) error {
	mode := info.Mode()
	allowed := fs.FileMode(0o600)
	owner, ok := info.Sys().(*syscall.Stat_t)
	if ok && owner.Uid == 0 {
		allowed = 0o640
	}
	switch {
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user (%d); run chown %d %s", path, owner.Uid, os.Geteuid(), path)
	case mode.Perm()&^allowed&^0o100 != 0:
		return fmt.Errorf("%s can be read by others (mode %#o); run chmod %o %s", path, mode.Perm(), allowed, path)
	}
	return nil
}
