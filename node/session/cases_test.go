package session

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"herd/node/line"
	"herd/node/session/sessiontest"
)

// unescape returns the bytes of an input in cases.tsv.
func unescape(t *testing.T, s string) string {
	t.Helper()
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var example = "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n"

// Every row of cases.tsv, each on a fresh server, over a real connection; the replies of all lines, in order, to the byte.
func TestCases(t *testing.T) {
	testCases(t, func(t *testing.T) *testServer { return startTCP(t) })
}

// The same over TLS, where a half-close is a message of its own.
func TestCasesOverTLS(t *testing.T) {
	ca := sessiontest.NewCA(t, "CA", nil)
	server := serverTLS(t, ca, nil)
	testCases(t, func(t *testing.T) *testServer {
		n := startTCP(t, func(c *config) { c.TLS = server })
		n.trust = ca.Trust()
		return n
	})
}

func testCases(t *testing.T, start func(*testing.T) *testServer) {
	table, err := os.ReadFile("testdata/cases.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(table)), "\n")[1:]
	for _, row := range rows {
		column := strings.Split(row, "\t")
		id, input, expected := column[0], column[1], column[2]
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			n := start(t)
			held := make(map[line.ClientID]line.Report)
			if id[0] == 'C' || id[0] == 'E' {
				hold(t, held, n.iamat(t, strings.TrimSpace(strings.TrimPrefix(example, "IAMAT "))))
			}
			c := n.dial(t)
			input, closes := strings.CutSuffix(input, "<EOF>")
			input, holds := strings.CutSuffix(input, "<HOLD>")
			var sent strings.Builder
			for segment := range strings.SplitSeq(input, "<PAUSE>") {
				segment = unescape(t, segment)
				c.Send(segment)
				sent.WriteString(segment)
			}
			if holds {
				if expected != "NOREPLY" {
					t.Fatalf("nothing comes of a line held back, but %s is expected", expected)
				}
				// Nothing may have come when the next line is complete: what comes is the reply to both as one line.
				c.Send(" x\n")
				if got, want := c.Rest(), "? "+sent.String()+" x\n"; got != want {
					t.Fatalf("reply %q, want %q", got, want)
				}
				return
			}
			if closes {
				if err := c.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			lines := strings.Split(strings.TrimSuffix(sent.String(), "\n"), "\n")
			kinds := strings.Split(expected, ";")
			if len(lines) != len(kinds) {
				t.Fatalf("%d lines, %d expectations", len(lines), len(kinds))
			}
			for i, l := range lines {
				checkReply(t, c, l, kinds[i], held)
			}
			if more := c.Rest(); more != "" {
				t.Errorf("then came %q", more)
			}
		})
	}
	if len(rows) < 40 {
		t.Errorf("only %d cases", len(rows))
	}
}

// checkReply reads the reply to a line and holds it against what is expected and what the node holds by then.
func checkReply(t *testing.T, c *sessiontest.Client, l, kind string, held map[line.ClientID]line.Report) {
	t.Helper()
	fields := strings.FieldsFunc(l, func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) })
	switch kind {
	case "INVALID":
		if want := "? " + l + "\n"; c.Bytes(len(want)) != want {
			t.Errorf("no reply %q", want)
		}
	case "AT":
		hold(t, held, checkAt(t, c.Paragraph(), fields[1:]))
	case "PLACES":
		at := c.Paragraph()
		at, body, _ := strings.Cut(at, "\n")
		if want := held[line.ClientID(fields[1])]; at != "AT "+want.String() {
			t.Errorf("first line %q, want that of %q", at, want)
		}
		checkPlaces(t, body, fields[3])
	default:
		t.Fatalf("unknown expectation %q", kind)
	}
}

// hold notes a report that the node received: it holds the one with the latest time, the first of those with the same.
func hold(t *testing.T, held map[line.ClientID]line.Report, text string) {
	t.Helper()
	r, err := line.ParseReport(text)
	if err != nil {
		t.Fatal(err)
	}
	if old, ok := held[r.Client()]; !ok || r.Later(old) {
		held[r.Client()] = r
	}
}

var atForm = regexp.MustCompile(`^AT Goloman [+-][0-9]+\.[0-9]{9} `)

// checkAt returns the report in the reply.
func checkAt(t *testing.T, reply string, operands []string) string {
	t.Helper()
	start := atForm.FindString(reply)
	if want := start + strings.Join(operands, " ") + "\n\n"; start == "" || reply != want {
		t.Errorf("reply %q, want %q", reply, want)
	}
	return strings.TrimSuffix(strings.TrimPrefix(reply, "AT "), "\n\n")
}

func checkPlaces(t *testing.T, body, bound string) {
	t.Helper()
	var answer struct {
		Attributions []string          `json:"html_attributions"`
		Results      []json.RawMessage `json:"results"`
		Status       string            `json:"status"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	limit, err := strconv.Atoi(bound)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Attributions == nil || answer.Results == nil || len(answer.Results) > limit ||
		(answer.Status == "OK") != (len(answer.Results) > 0) || !strings.HasSuffix(body, "}\n\n") {
		t.Errorf("places %q", body)
	}
}
