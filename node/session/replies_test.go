package session

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recordingConn records what is written.
type recordingConn struct {
	net.Conn
	events *[]string
}

func (c recordingConn) Write(b []byte) (int, error) {
	*c.events = append(*c.events, "write "+string(b))
	return len(b), nil
}

// Replies that acknowledge a report wait for the disk, wherever they stand among others; replies that do not are written at once.
func TestAcknowledgementsWaitForSync(t *testing.T) {
	for _, tt := range []struct {
		replies []string
		syncs   bool
	}{
		{[]string{"AT Goloman +1.0 k +1-1 1\n\n"}, true},
		{[]string{"? junk\n", "AT Goloman +1.0 k +1-1 1\n\n"}, true},
		{[]string{"? AT Goloman\n", "? junk\n"}, false},
	} {
		var events []string
		var want []string
		if tt.syncs {
			want = append(want, "sync")
		}
		ours, _ := net.Pipe()
		r := newReplies(recordingConn{ours, &events}, func() time.Duration { return 0 }, func() error {
			events = append(events, "sync")
			return nil
		})
		var all strings.Builder
		for _, text := range tt.replies {
			if err := r.add([]byte(text)); err != nil {
				t.Fatal(err)
			}
			all.WriteString(text)
		}
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
		if want = append(want, "write "+all.String()); !slices.Equal(events, want) {
			t.Errorf("%q: %q, want %q", tt.replies, events, want)
		}
	}
}

// While an acknowledgement waits for the disk, no later reply is written.
func TestRepliesKeepTheirOrderDuringSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ours := net.Pipe()
		synced := make(chan struct{})
		r := newReplies(ours, func() time.Duration { return 0 }, func() error {
			<-synced
			return nil
		})
		reply := func(text string) {
			if err := r.add([]byte(text)); err != nil {
				t.Error(err)
			}
			if err := r.flush(); err != nil {
				t.Error(err)
			}
		}
		const first, second = "AT Goloman +1.0 k +1-1 1\n\n", "? junk\n"
		go reply(first)
		synctest.Wait()
		go reply(second)
		synctest.Wait()
		close(synced)
		got := make([]byte, len(first+second))
		if _, err := io.ReadFull(client, got); err != nil || string(got) != first+second {
			t.Errorf("%q, %v", got, err)
		}
	})
}
