package pbf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Limits of the format, in bytes.
const (
	maxHeader = 64 << 10 // of a blob's header
	maxBlob   = 32 << 20 // of a blob, compressed or not
)

// blobs reads one blob after the other.
type blobs struct {
	file   io.ReaderAt
	size   int64
	offset int64  // of the next blob
	packed []byte // the current blob or its header, as it is in the file
	raw    []byte // the current blob's data, if it was compressed
	zstd   *zstd.Decoder
}

func (b *blobs) close() {
	if b.zstd != nil {
		b.zstd.Close()
	}
}

// next returns the type of the next blob and its uncompressed data, which is valid until the next call, or io.EOF at the end.
func (b *blobs) next() (kind string, data []byte, err error) {
	if b.offset == b.size {
		return "", nil, io.EOF
	}
	var length [4]byte
	if err := b.read(length[:]); err != nil {
		return "", nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxHeader {
		return "", nil, fmt.Errorf("the header of a blob has %d bytes, more than %d", n, maxHeader)
	}
	b.packed = slices.Grow(b.packed[:0], int(n))[:n]
	if err := b.read(b.packed); err != nil {
		return "", nil, err
	}
	var size uint64
	err = eachField(b.packed, func(f field) error {
		switch f.number {
		case 1:
			kind = string(f.bytes)
		case 3:
			size = f.value
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	if size > maxBlob {
		return "", nil, fmt.Errorf("a blob has %d bytes, more than %d", size, maxBlob)
	}
	b.packed = slices.Grow(b.packed[:0], int(size))[:size]
	if err := b.read(b.packed); err != nil {
		return "", nil, err
	}
	data, err = b.unpack()
	return kind, data, err
}

func (b *blobs) read(into []byte) error {
	if b.size-b.offset < int64(len(into)) {
		return errors.New("the file is cut off")
	}
	if _, err := io.ReadFull(io.NewSectionReader(b.file, b.offset, int64(len(into))), into); err != nil {
		return err
	}
	b.offset += int64(len(into))
	return nil
}

// unpack returns the uncompressed data of the blob in packed.
func (b *blobs) unpack() ([]byte, error) {
	var size uint64
	var content field
	err := eachField(b.packed, func(f field) error {
		switch f.number {
		case 1, 3, 4, 5, 6, 7: // the data, in one of several compressions
			content = f
		case 2:
			size = f.value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if content.number == 1 {
		return content.bytes, nil
	}
	if size > maxBlob {
		return nil, fmt.Errorf("a blob has %d bytes uncompressed, more than %d", size, maxBlob)
	}
	switch content.number {
	case 3:
		err = b.inflate(content.bytes, int(size))
	case 7:
		err = b.unzstd(content.bytes)
	default:
		return nil, errors.New("a blob is compressed neither by zlib nor by zstd")
	}
	if err != nil {
		return nil, fmt.Errorf("uncompress a blob: %w", err)
	}
	if len(b.raw) != int(size) {
		return nil, fmt.Errorf("a blob has not the %d bytes that it says", size)
	}
	return b.raw, nil
}

// inflate uncompresses data of that size. It reads one byte more, if there is one.
func (b *blobs) inflate(data []byte, size int) error {
	in, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	b.raw = slices.Grow(b.raw[:0], size+1)[:size+1]
	n, err := io.ReadFull(in, b.raw)
	b.raw = b.raw[:n]
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil // a wrong size is found by the caller
	}
	return err
}

func (b *blobs) unzstd(data []byte) (err error) {
	if b.zstd == nil {
		if b.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlob)); err != nil {
			return err
		}
	}
	b.raw, err = b.zstd.DecodeAll(data, b.raw[:0])
	return err
}
