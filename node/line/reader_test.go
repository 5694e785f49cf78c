package line

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

// chunks gives what it holds in pieces of the sizes in cuts, again and again.
type chunks struct {
	data []byte
	cuts []byte
	next int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	size := len(p)
	if len(c.cuts) > 0 {
		size = 1 + int(c.cuts[c.next%len(c.cuts)])*17
		c.next++
	}
	n := copy(p[:min(size, len(p))], c.data)
	c.data = c.data[n:]
	return n, nil
}

// readAll returns each line as the reader gives it, those cut short with a trailing "…".
func readAll(t testing.TB, r *Reader, src io.Reader) []string {
	t.Helper()
	var lines []string
	for {
		for {
			l, tooLong, ok := r.Next()
			if !ok {
				break
			}
			s := string(l)
			if tooLong {
				s += "…"
			}
			lines = append(lines, s)
		}
		if err := r.Fill(src); err == io.EOF {
			if l, ok := r.Rest(); ok {
				lines = append(lines, string(l))
			}
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// split is the reader's task with all of the input at hand.
func split(input []byte) []string {
	parts := strings.Split(string(input), "\n")
	var lines []string
	for i, p := range parts {
		if i == len(parts)-1 && p == "" {
			break
		}
		if len(p) > MaxLine {
			p = p[:MaxLine] + "…"
		}
		lines = append(lines, p)
	}
	return lines
}

func TestReader(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, input := range []string{
		"", "\n", "a", "a\nb", "a\n\nb\n", x(MaxLine), x(MaxLine) + "\nb", x(MaxLine+1) + "\nb\n", x(MaxLine + 1),
		x(3*MaxLine) + "\nb\n" + x(MaxLine+1) + "\n" + x(MaxLine) + "\n\nc", x(20*MaxLine) + "\n",
	} {
		for _, cuts := range [][]byte{nil, {0}, {1, 0, 200}, {255}} {
			got := readAll(t, NewReader(make([]byte, MinBuffer)), &chunks{data: []byte(input), cuts: cuts})
			if want := split([]byte(input)); !slices.Equal(got, want) {
				t.Errorf("input of %d bytes in pieces %v: %d lines %.60q, want %d", len(input), cuts, len(got), got, len(want))
			}
		}
	}
}

func TestReaderPartial(t *testing.T) {
	r := NewReader(make([]byte, MinBuffer))
	feed := func(s string) {
		if err := r.Fill(strings.NewReader(s)); err != nil {
			t.Fatal(err)
		}
	}
	if r.Partial() {
		t.Error("a new reader is within a line")
	}
	feed("a\nb")
	r.Next()
	if _, _, ok := r.Next(); ok || !r.Partial() {
		t.Error("half a line is not seen as one")
	}
	feed("\n")
	if l, _, ok := r.Next(); !ok || string(l) != "b" || r.Partial() {
		t.Errorf("line %q, partial %v", l, r.Partial())
	}
	feed(strings.Repeat("x", MinBuffer))
	if _, tooLong, ok := r.Next(); !ok || !tooLong {
		t.Error("a line that is too long is not told at once")
	}
	if _, _, ok := r.Next(); ok || !r.Partial() {
		t.Error("the rest of a line that is too long is not seen as part of one")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), []byte{0, 3}, uint16(0))
	f.Add([]byte("x"), []byte{255}, uint16(MaxLine))
	f.Fuzz(func(t *testing.T, input, cuts []byte, stretch uint16) {
		// Lines of interesting length are too long for a fuzzer to find: stretch the first byte.
		if len(input) > 0 {
			input = append(bytes.Repeat(input[:1], int(stretch)), input...)
		}
		got := readAll(t, NewReader(make([]byte, MinBuffer+len(cuts)%7)), &chunks{data: input, cuts: cuts})
		if want := split(input); !slices.Equal(got, want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
	})
}

// The excess of a line that is too long is returned once, in whole lines.
func TestExcess(t *testing.T) {
	r := NewReader(make([]byte, MinBuffer))
	src := &chunks{data: []byte(strings.Repeat("x", MaxLine+3*MaxLine-1) + "\nshort\n" + strings.Repeat("x", 2*MaxLine) + "\n")}
	var got []int
	for {
		for {
			_, _, ok := r.Next()
			if n := r.Excess(); n > 0 {
				got = append(got, n)
			}
			if !ok {
				break
			}
		}
		if r.Fill(src) != nil {
			break
		}
	}
	if want := []int{1, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
