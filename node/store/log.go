package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

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
