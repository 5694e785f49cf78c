package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"herd/node/line"
)

const (
	maxUnanswered = 4096 // lines sent ahead of their replies
	progressStep  = 200 * time.Millisecond
)

// stream is a conversation in which reports are sent while replies to earlier ones come.
type stream struct {
	*conversation
	unanswered chan struct{} // one for each line sent, in order; closed after the last
	sent       chan error    // gets how sending ended, before unanswered is closed

	// What follows belongs to receive.
	stderr           io.Writer // for the progress, or nil
	shown            time.Time // when it was told last
	replies, refused int
}

// stream reports each line of standard input.
func (p *program) stream(c *cobra.Command, t *target) error {
	server, err := p.dial(c, t)
	if err != nil {
		return err
	}
	defer server.close()
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	s := &stream{conversation: server, unanswered: make(chan struct{}, maxUnanswered), sent: make(chan error, 1)}
	begin := ""
	if terminal(p.stderr) && !terminal(p.stdout) {
		s.stderr, begin = p.stderr, "\r"
	}
	// When receive fails, nobody waits for send: reading standard input cannot be interrupted. It ends with the process.
	go func() {
		defer close(s.unanswered)
		s.sent <- s.send(ctx, p.stdin)
	}()
	err = s.receive(ctx, p.stdout)
	if err == nil {
		err = <-s.sent
	}
	fmt.Fprintf(p.stderr, "%s%s\n", begin, s.counts())
	if err == nil && s.refused > 0 {
		return &silentError{exitFailed}
	}
	return err
}

func (s *stream) counts() string {
	return fmt.Sprintf("%s, %d refused", plural(s.replies, "report"), s.refused)
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
			return s.failure(err)
		}
		switch err := lines.Fill(in); {
		case errors.Is(err, io.EOF):
			if l, ok := lines.Rest(); ok {
				if err := s.put(ctx, out, l); err != nil {
					return err
				}
			}
			if err := out.Flush(); err != nil {
				return s.failure(err)
			}
			return nil
		case err != nil:
			return fmt.Errorf("read standard input: %w", err)
		}
	}
}

// put sends one report. It waits while too many are unanswered.
func (s *stream) put(ctx context.Context, out *bufio.Writer, l []byte) error {
	fields := countFields(l)
	if fields == 0 {
		return nil
	}
	select {
	case s.unanswered <- struct{}{}:
	default:
		if err := out.Flush(); err != nil {
			return s.failure(err)
		}
		select {
		case s.unanswered <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	text := append(append(out.AvailableBuffer(), "IAMAT "...), l...)
	if fields == 2 {
		text = appendTime(append(text, ' '), time.Now())
	}
	if _, err := out.Write(append(text, '\n')); err != nil {
		return s.failure(err)
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
		refused, err := s.reply(out)
		if err != nil {
			_ = out.Flush() // whole replies and what there is of the last; the error tells the rest
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
		s.progress()
	}
}

func flush(stdout *bufio.Writer) error {
	if err := stdout.Flush(); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

func (s *stream) progress() {
	if s.stderr == nil {
		return
	}
	if now := time.Now(); now.Sub(s.shown) >= progressStep {
		fmt.Fprintf(s.stderr, "\r%s", s.counts())
		s.shown = now
	}
}

// countFields returns the number of fields of a line of the client protocol.
func countFields(l []byte) int {
	count, within := 0, false
	for _, b := range l {
		blank := strings.IndexByte(space, b) >= 0
		if !blank && !within {
			count++
		}
		within = !blank
	}
	return count
}
