//go:build lab

package lab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const redisPort = "6379"

// redisPair is a Redis server at the hub of an uplink and its replica at the far end, with the settings of a new Redis, but in
// memory alone.
type redisPair struct {
	*uplink
	t    *testing.T
	mu   sync.Mutex // held while a server is queried
	conn map[*site]*redisConn
}

// redisConn is a connection to Redis.
type redisConn struct {
	net.Conn
	in *bufio.Reader
}

func newRedisPair(t *testing.T) *redisPair {
	t.Helper()
	r := &redisPair{uplink: newUplink(t), t: t, conn: make(map[*site]*redisConn)}
	r.serve(r.hub)
	return r
}

// serve starts a server in a site and returns when it answers.
func (r *redisPair) serve(s *site, args ...string) {
	r.t.Helper()
	s.start(exec.Command("redis-server", append([]string{
		"--port", redisPort, "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", r.t.TempDir(),
	}, args...)...))
	_, ok := poll(patience, func() bool {
		conn, err := s.dial(r.t.Context(), "tcp", "127.0.0.1:"+redisPort)
		if err != nil {
			return false
		}
		r.conn[s] = &redisConn{conn, bufio.NewReader(conn)}
		return true
	})
	if !ok {
		r.t.Fatal("redis-server does not answer")
	}
}

func (r *redisPair) startFar() { r.serve(r.far, "--replicaof", hubAddress, redisPort) }

func (r *redisPair) joined() bool {
	return strings.Contains(r.query(r.far, "INFO", "replication")[0], "master_link_status:up")
}

// query sends a command to the server of a site and returns what it replies, as strings; what is not there is "".
func (r *redisPair) query(s *site, command ...string) []string {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	conn := r.conn[s]
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, resp(command...)); err != nil {
		r.t.Fatal(err)
	}
	all, err := conn.reply()
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// resp returns a command in Redis's protocol.
func resp(command ...string) string {
	text := fmt.Appendf(nil, "*%d\r\n", len(command))
	for _, c := range command {
		text = appendBulk(text, c)
	}
	return string(text)
}

// reply reads a reply of Redis's protocol.
func (c *redisConn) reply() ([]string, error) {
	head, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	head = strings.TrimSpace(head)
	switch size, _ := strconv.Atoi(head[1:]); {
	case head[0] == '*':
		var all []string
		for range size {
			part, err := c.reply()
			if err != nil {
				return nil, err
			}
			all = append(all, part...)
		}
		return all, nil
	case head[0] == '$' && size >= 0:
		text := make([]byte, size+2)
		_, err := io.ReadFull(c.in, text)
		return []string{string(text[:size])}, err
	case head[0] == '$':
		return []string{""}, nil
	case head[0] == '-':
		return nil, fmt.Errorf("redis: %s", head)
	}
	return []string{head[1:]}, nil
}

func (r *redisPair) connect() net.Conn { return connectFrom(r.t, r.hub, "127.0.0.1:"+redisPort) }

func (*redisPair) request(client string, at time.Time) string {
	return resp("SET", client, place()+" "+stamp(at))
}

func (*redisPair) reply() string { return "+OK" }

// offset returns how far the server of a site is in the stream of changes: bytes.
func (r *redisPair) offset(s *site, name string) int64 {
	r.t.Helper()
	_, rest, _ := strings.Cut(r.query(s, "INFO", "replication")[0], name+":")
	digits, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	return n
}

// equal compares how far both are in the stream of changes. A replica in the middle of a full copy does not follow.
func (r *redisPair) equal() bool {
	return r.joined() && r.offset(r.hub, "master_repl_offset") == r.offset(r.far, "slave_repl_offset")
}

func (r *redisPair) ages(clients []string) (all []time.Duration) {
	for _, value := range r.query(r.far, append([]string{"MGET"}, clients...)...) {
		_, at, _ := strings.Cut(value, " ")
		all = append(all, age(at, time.Now()))
	}
	return all
}

func (r *redisPair) applied() int64 { return r.offset(r.far, "slave_repl_offset") }
