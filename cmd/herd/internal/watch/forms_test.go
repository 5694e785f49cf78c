package watch

import (
	"bytes"
	"os"
	"testing"

	"herd/bus"
)

func TestJSONSubject(t *testing.T) {
	var text bytes.Buffer
	o := &observed{message: bus.Observed{Subject: "h.propagate.\xff.B", Message: bus.Message{From: "\xff"}, To: "B"}, line: "x", err: os.ErrInvalid}
	inJSON(&text, o)
	const want = `{"time":"0001-01-01T00:00:00.000000000Z","subject_base64":"aC5wcm9wYWdhdGUu/y5C","from":"\ufffd","to":"B","line":"x"}` + "\n"
	if text.String() != want {
		t.Errorf("printed %q, want %q", text.String(), want)
	}
}
