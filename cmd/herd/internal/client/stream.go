package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"herd/cmd/herd/internal/terminal"
	"herd/node/line"
)

// MaxUnanswered is how many lines are sent ahead of their replies.
const MaxUnanswered = 4096

// Space is the white space of the client protocol.
const Space = " \t\n\v\f\r"

// stream is a connection on which reports are sent while replies to earlier ones come.
type stream struct {
	*Conn
	unanswered chan struct{} // one for each line sent, in order; closed after the last
	sent       chan error    // gets how sending ended, before unanswered is closed

	// Only receive uses these.
	progress         *terminal.Progress
	replies, refused int
}

// Stream reports each line of in, copies the replies to out, and returns how many there were and how many of them refused a report.
func (c *Conn) Stream(ctx context.Context, in io.Reader, out io.Writer, progress *terminal.Progress) (replies, refused int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &stream{Conn: c, unanswered: make(chan struct{}, MaxUnanswered), sent: make(chan error, 1), progress: progress}
	// When receive fails, nothing waits for send: reading standard input cannot be interrupted. It ends with the process.
	go func() {
		defer close(s.unanswered)
		s.sent <- s.send(ctx, in)
	}()
	err = s.receive(ctx, out)
	if err == nil {
		err = <-s.sent
	}
	progress.Clear()
	return s.replies, s.refused, err
}

// Counts returns the numbers of a stream in words.
func Counts(replies, refused int) string {
	return fmt.Sprintf("%s, %d refused", terminal.Plural(replies, "report"), refused)
}

// AppendTime appends POSIX seconds with nine decimals.
func AppendTime(dst []byte, t time.Time) []byte {
	return fmt.Appendf(dst, "%d.%09d", t.Unix(), t.Nanosecond())
}

// send reports every line of in. What is sent leaves before it waits for more.
func (s *stream) send(ctx context.Context, in io.Reader) error {
	out := bufio.NewWriterSize(s, 32<<10)
	lines := line.NewReader(make([]byte, 64<<10))
	for {
		for l, _, ok := lines.Next(); ok; l, _, ok = lines.Next() {
			if err := s.put(ctx, out, l); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return s.Failure(err)
		}
		switch err := lines.Fill(in); {
		case errors.Is(err, io.EOF):
			if l, ok := lines.Rest(); ok {
				if err := s.put(ctx, out, l); err != nil {
					return err
				}
			}
			if err := out.Flush(); err != nil {
				return s.Failure(err)
			}
			return nil
		case err != nil:
			return fmt.Errorf("read standard input: %w", err)
		}
	}
}

// put sends one report. It waits while too many are unanswered.
func (s *stream) put(ctx context.Context, out *bufio.Writer, l []byte) error {
	fields := 0
	for range bytes.FieldsFuncSeq(l, func(r rune) bool { return strings.ContainsRune(Space, r) }) {
		fields++
	}
	if fields == 0 {
		return nil
	}
	if len(s.unanswered) == cap(s.unanswered) {
		if err := out.Flush(); err != nil {
			return s.Failure(err)
		}
	}
	select {
	case s.unanswered <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	text := append(append(out.AvailableBuffer(), "IAMAT "...), l...)
	if fields == 2 {
		text = AppendTime(append(text, ' '), time.Now())
	}
	if _, err := out.Write(append(text, '\n')); err != nil {
		return s.Failure(err)
	}
	return nil
}

// receive prints a reply for every line that is sent.
func (s *stream) receive(ctx context.Context, stdout io.Writer) error {
	out := bufio.NewWriterSize(stdout, 32<<10)
	for {
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case _, more := <-s.unanswered:
			if !more {
				return flush(out)
			}
		}
		refused, err := s.Reply(out)
		if err != nil {
			_ = out.Flush() // whole replies and what there is of the last; the error says what is missing
			return err
		}
		s.replies++
		if refused {
			s.refused++
		}
		if s.in.Buffered() == 0 {
			if err := flush(out); err != nil {
				return err
			}
		}
		s.progress.Show(func() string { return Counts(s.replies, s.refused) })
	}
}

func flush(stdout *bufio.Writer) error {
	if err := stdout.Flush(); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}
