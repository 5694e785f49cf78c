package line

import (
	"bytes"
	"io"
)

// MaxLine is the longest line of a client, in bytes, without its LF.
const MaxLine = 4096

// MinBuffer is the smallest buffer a [Reader] works with: the longest line, and its LF.
const MinBuffer = MaxLine + 1

// Reader cuts what a client sends into lines, in a buffer of fixed size. It keeps in step with a client that sends too
// long a line: that line comes back once, cut, and the rest of it is passed over. Only Fill reads, so
// that the owner decides when to wait. A Reader belongs to one goroutine. The zero Reader needs a buffer before it can be filled.
type Reader struct {
	buf        []byte
	start, end int  // what is read and not yet returned: buf[start:end]
	skipping   bool // within the rest of a line that was too long
	passed     int  // bytes of it passed over, less those that Excess has returned
}

// NewReader returns a reader that uses buf, of at least [MinBuffer] bytes.
func NewReader(buf []byte) *Reader {
	r := new(Reader)
	r.Lend(buf)
	return r
}

// Lend has the reader use buf, of at least [MinBuffer] bytes, from now on, or none if it is nil. What is unread is lost.
func (r *Reader) Lend(buf []byte) {
	if buf != nil && len(buf) < MinBuffer {
		panic("line: reader buffer cannot hold the longest line")
	}
	r.buf, r.start, r.end = buf, 0, 0
}

// Empty reports whether nothing is unread, so that the buffer can be put to another use.
func (r *Reader) Empty() bool { return r.start == r.end }

// Next returns the next line in the buffer, without its LF, and whether there is one. A line of more than
// [MaxLine] bytes comes as its first MaxLine, with tooLong, as soon as so many have arrived. The line is valid until
// the next call of Fill.
func (r *Reader) Next() (line []byte, tooLong, ok bool) {
	if r.skipping && !r.skip() {
		return nil, false, false
	}
	unread := r.buf[r.start:r.end]
	if i := bytes.IndexByte(unread, '\n'); i >= 0 && i <= MaxLine {
		r.start += i + 1
		return unread[:i], false, true
	}
	if len(unread) <= MaxLine {
		return nil, false, false
	}
	r.start += MaxLine
	r.skipping, r.passed = true, 0
	return unread[:MaxLine], true, true
}

// skip passes over the rest of a line that was too long, and reports whether its LF was reached.
func (r *Reader) skip() bool {
	i := bytes.IndexByte(r.buf[r.start:r.end], '\n')
	if i < 0 {
		r.passed += r.end - r.start
		r.start = r.end
		return false
	}
	r.passed += i
	r.start += i + 1
	r.skipping = false
	return true
}

// Excess returns how many more lines of [MaxLine] bytes a line that was too long could have been, as far as it has been passed over and
// since Excess was last called.
func (r *Reader) Excess() int {
	n := r.passed / MaxLine
	r.passed %= MaxLine
	return n
}

// Fill reads once from src into the free part of the buffer. It must follow a Next that found no line.
func (r *Reader) Fill(src io.Reader) error {
	r.end = copy(r.buf, r.buf[r.start:r.end])
	r.start = 0
	n, err := src.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil // an error comes again with the next read
	}
	return err
}

// Rest returns what was sent after the last LF, for when the client has sent its last byte, and whether there is any.
func (r *Reader) Rest() (line []byte, ok bool) {
	if r.skipping {
		return nil, false
	}
	rest := r.buf[r.start:r.end]
	r.start = r.end
	return rest, len(rest) > 0
}

// Partial reports whether a line has begun that is not complete.
func (r *Reader) Partial() bool { return r.skipping || r.start < r.end }
