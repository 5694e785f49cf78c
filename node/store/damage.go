package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// The engine's manifest lists the files that count; any other it deletes. It reads as much of the manifest as is sound and takes the
// rest for a torn write. So that no damage passes for one, a file beside it holds length and checksum of what was synced.
const (
	manifestPrefix = "MANIFEST-"
	sealSuffix     = ".seal"
	sealForm       = "%d bytes, CRC-32C %08x\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal is the length and checksum of one manifest while it is written.
type seal struct {
	fs     vfs.FS
	path   string
	length int64
	sum    uint32
	kept   bool // the seal's name is synced
}

func (s *seal) add(b []byte) {
	s.length += int64(len(b))
	s.sum = crc32.Update(s.sum, castagnoli, b)
}

// write writes the seal of what has been written and synced. An older one that a crash brings back holds for the beginning of the same
// manifest. The first is there for good, and so is the manifest, before the engine can say that it is the one that counts.
func (s *seal) write() error {
	f, err := s.fs.Create(s.path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, sealForm, s.length, s.sum)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.fs.Rename(s.path+".new", s.path); err != nil || s.kept {
		return err
	}
	s.kept = true
	return syncDir(s.fs, s.fs.PathDir(s.path))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var errDamaged = errors.New("damaged")

// inspect finds the damage that the engine would not find.
func inspect(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	manifest, err := atomicfs.ReadMarker(fs, dir, "manifest")
	if err != nil {
		return err
	}
	for _, name := range names {
		isLog := strings.HasSuffix(name, ".log")
		if manifest == "" && (isLog || strings.HasSuffix(name, ".sst")) {
			return fmt.Errorf("%w: there is %s, but no file marker.manifest.*", errDamaged, name)
		}
		if isLog {
			if err := inspectLog(fs, dir, name); err != nil {
				return err
			}
		}
	}
	if manifest == "" {
		return nil // a new store
	}
	return verify(fs, fs.PathJoin(dir, manifest))
}

// verify compares a manifest with its seal.
func verify(fs vfs.FS, path string) error {
	sealed, err := read(fs, path+sealSuffix)
	if err != nil {
		return err
	}
	var length int
	var sum uint32
	if _, err := fmt.Sscanf(string(sealed), sealForm, &length, &sum); err != nil {
		return fmt.Errorf("%w: %s%s is not a seal", errDamaged, fs.PathBase(path), sealSuffix)
	}
	text, err := read(fs, path)
	if err != nil {
		return err
	}
	if length < 0 || len(text) < length || crc32.Checksum(text[:length], castagnoli) != sum {
		return fmt.Errorf("%w: %s is not as it was written", errDamaged, fs.PathBase(path))
	}
	return nil
}

func read(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%w: %s is missing", errDamaged, fs.PathBase(path))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// The engine considers whatever is not sound near the end of a log a torn write, and drops it with all that follows. But each chunk says
// how far the log was synced before it: what is not sound within that is damaged.
//
// A log is cut into blocks, a block into chunks, and zeros. A chunk is, in little-endian order (pebble/v2/record, WAL sync format),
//
//	checksum (4 bytes) | length (2) | form (1) | number of the log (4) | offset up to which it was synced (8) | length bytes
//
// with the masked CRC-32C of LevelDB over what follows the length.
const (
	logBlock  = 32 << 10
	logHeader = 19
	logLeast  = 9 // forms of chunk
	logMost   = 12
)

// inspectLog finds damage in a log.
func inspectLog(fs vfs.FS, dir, name string) error {
	number, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64)
	if err != nil {
		return nil // not a log
	}
	text, err := read(fs, fs.PathJoin(dir, name))
	if err != nil {
		return err
	}
	sound := 0
	for {
		if left := logBlock - sound%logBlock; left < logHeader {
			sound += left // no chunk fits there
		}
		size, _ := chunkAt(text, sound, uint32(number))
		if size == 0 {
			break
		}
		sound += size
	}
	for at := sound + 1; at < len(text); at++ {
		if size, synced := chunkAt(text, at, uint32(number)); size > 0 && synced > uint64(sound) {
			return fmt.Errorf("%w: %s is not as it was written, from byte %d on", errDamaged, name, sound)
		}
	}
	return nil
}

// chunkAt returns the size of the sound chunk of a log at an offset, 0 if there is none, and how far the log was synced.
func chunkAt(text []byte, at int, number uint32) (size int, synced uint64) {
	if at+logHeader > len(text) || text[at+6] < logLeast || text[at+6] > logMost {
		return 0, 0
	}
	size = logHeader + int(binary.LittleEndian.Uint16(text[at+4:]))
	if at%logBlock+size > logBlock || at+size > len(text) || binary.LittleEndian.Uint32(text[at+7:]) != number {
		return 0, 0
	}
	sum := crc32.Checksum(text[at+6:at+size], castagnoli)
	if sum = sum>>15 | sum<<17; sum+0xa282ead8 != binary.LittleEndian.Uint32(text[at:]) {
		return 0, 0
	}
	return size, binary.LittleEndian.Uint64(text[at+11:])
}
