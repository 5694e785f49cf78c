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

// Sizes in bytes that a file may not exceed, as the format says.
const (
	maxHeader = 64 << 10 // of a blob's header
	maxBlob   = 32 << 20 // of a blob, compressed or not
)

// blobs reads one blob after the other.
type blobs struct {
	file   io.ReaderAt
	size   int64
	offset int64  // of the next blob
	packed []byte // as it is in the file
	raw    []byte // uncompressed
	zlib   io.ReadCloser
	zstd   *zstd.Decoder
}

func (b *blobs) close() {
	if b.zstd != nil {
		b.zstd.Close()
	}
}

// next returns the type of the next blob and its uncompressed data, which are valid until the next call; io.EOF at the end.
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
	header := message{data: b.packed}
	for f, ok := header.next(); ok; f, ok = header.next() {
		switch f.number {
		case 1:
			kind = string(f.bytes)
		case 3:
			size = f.value
		}
	}
	if header.err != nil {
		return "", nil, header.err
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

// unpack uncompresses the blob that was read.
func (b *blobs) unpack() ([]byte, error) {
	var size uint64
	var how field
	m := message{data: b.packed}
	for f, ok := m.next(); ok; f, ok = m.next() {
		switch f.number {
		case 1, 3, 4, 5, 6, 7: // the data in one form or another
			how = f
		case 2:
			size = f.value
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	if how.number == 1 {
		return how.bytes, nil
	}
	if size > maxBlob {
		return nil, fmt.Errorf("a blob has %d bytes uncompressed, more than %d", size, maxBlob)
	}
	var err error
	switch how.number {
	case 3:
		err = b.inflate(how.bytes, int(size))
	case 7:
		err = b.unzstd(how.bytes)
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

// inflate reads one byte more than there should be, if there is.
func (b *blobs) inflate(data []byte, size int) (err error) {
	if b.zlib == nil {
		b.zlib, err = zlib.NewReader(bytes.NewReader(data))
	} else {
		err = b.zlib.(zlib.Resetter).Reset(bytes.NewReader(data), nil)
	}
	if err != nil {
		b.zlib = nil
		return err
	}
	b.raw = slices.Grow(b.raw[:0], size+1)[:size+1]
	n, err := io.ReadFull(b.zlib, b.raw)
	b.raw = b.raw[:n]
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil // the size tells whether that was all
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
