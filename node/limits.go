package node

import (
	"sync"
	"time"
)

// door counts who is connected.
type door struct {
	mu    sync.Mutex
	count int
	total uint64 // that ever were let in
	hosts map[string]int
}

func newDoor() *door { return &door{hosts: make(map[string]int)} }

// enter lets one more connection of host in, or says why not: there may be limit of them in all, and perHost of one host; 0 is
// no limit.
func (d *door) enter(host string, limit, perHost int) (why reason, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if limit > 0 && d.count >= limit {
		return tooManyConnections, false
	}
	if perHost > 0 && d.hosts[host] >= perHost {
		return tooManyFromAddress, false
	}
	d.count++
	d.total++
	d.hosts[host]++
	return 0, true
}

func (d *door) leave(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count--
	if d.hosts[host]--; d.hosts[host] == 0 {
		delete(d.hosts, host)
	}
}

func (d *door) inside() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

func (d *door) opened() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

const maxHosts = 1 << 16 // that a quota tells apart; beyond it, others share one

// quota counts what each host has used up in this minute.
type quota struct {
	mu    sync.Mutex
	began time.Time
	used  map[string]int
}

// take uses one of limit up for host, and reports whether there was one left.
func (q *quota) take(host string, limit int, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.began) >= time.Minute {
		q.began, q.used = now, make(map[string]int)
	}
	if _, known := q.used[host]; !known && len(q.used) >= maxHosts {
		host = "others"
	}
	if q.used[host] >= limit {
		return false
	}
	q.used[host]++
	return true
}
