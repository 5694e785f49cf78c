package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// otherOwner is the identity of a store that belongs to another herd or node.
type otherOwner string

func (s otherOwner) Error() string {
	return "it belongs to others: it says " + strings.ReplaceAll(strings.TrimSpace(string(s)), "\n", ", ")
}

// ErrInUse says that another process has the store open.
var ErrInUse = errors.New("another process has it open")

// locking says why a directory could not be locked. If it is locked, the system says EAGAIN, and the engine, of this process, its own.
func locking(err error) error {
	if number, ofSystem := errors.AsType[syscall.Errno](err); !ofSystem || number == syscall.EAGAIN {
		return ErrInUse
	}
	return err
}

// explain says in one line what is wrong, with which directory, and what to do.
func (s *Store) explain(err error) error {
	return fmt.Errorf("store %s: %w", s.config.Dir, hinted{err, hint(err)})
}

// hinted is an error and what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func (h hinted) Error() string {
	return strings.ReplaceAll(h.error.Error(), "\n", "; ") + "; " + h.hint
}

func hint(err error) string {
	_, ofOther := errors.AsType[otherOwner](err)
	number, ofSystem := errors.AsType[syscall.Errno](err)
	switch {
	case ofOther:
		return "give another directory with --store-dir, or move this one away"
	case errors.Is(err, ErrInUse):
		return "end that, or give another directory with --store-dir"
	case errors.Is(err, pebble.ErrClosed):
		return "it is closed"
	case number == syscall.ENOSPC || number == syscall.EDQUOT:
		return "make room there"
	case number == syscall.EROFS, errors.Is(err, os.ErrPermission):
		return "it must be a directory that this user can write to"
	case number == syscall.ENOTDIR:
		return "it must be a directory"
	case errors.Is(err, errDamaged), !ofSystem, errors.Is(err, os.ErrNotExist):
		return "nothing was deleted: restore it from a copy, or move it away and start with an empty one"
	default:
		return "see to the disk"
	}
}
