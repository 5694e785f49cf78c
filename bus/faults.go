package bus

import (
	"slices"
	"time"
)

// on changes what is wrong with the way from one node to another.
func (m *Memory) on(from, to string, change func(w way, f *fault)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := way{from, to}
	if m.ways[w] == nil {
		m.ways[w] = new(fault)
	}
	change(w, m.ways[w])
}

// Cut makes everything vanish that one node sends to another, without a word to either.
func (m *Memory) Cut(from, to string) { m.on(from, to, func(_ way, f *fault) { f.cut = true }) }

// Heal undoes Cut. What has vanished does not come back.
func (m *Memory) Heal(from, to string) { m.on(from, to, func(_ way, f *fault) { f.cut = false }) }

// Drop makes those messages vanish that lose says; nil ends that.
func (m *Memory) Drop(from, to string, lose func(Message) bool) {
	m.on(from, to, func(_ way, f *fault) { f.drop = lose })
}

// Duplicate makes those messages arrive twice that twice says, one right behind the other; nil ends that. It is not asked about those
// that vanish.
func (m *Memory) Duplicate(from, to string, twice func(Message) bool) {
	m.on(from, to, func(_ way, f *fault) { f.twice = twice })
}

// Delay makes messages arrive as much later as delay says, though never one before another of the same way; nil ends that. As
// ways differ, messages overtake those of other ways. Of a message that arrives twice, each is delayed by itself.
func (m *Memory) Delay(from, to string, delay func() time.Duration) {
	m.on(from, to, func(_ way, f *fault) { f.delay = delay })
}

// Hold makes messages wait until Release.
func (m *Memory) Hold(from, to string) { m.on(from, to, func(_ way, f *fault) { f.hold = true }) }

// Release lets go of what waits, and ends Hold.
func (m *Memory) Release(from, to string) {
	m.on(from, to, func(w way, f *fault) {
		for _, msg := range f.held {
			m.send(w, msg, time.Time{})
		}
		f.hold, f.held = false, nil
	})
}

// Disconnect ends a node's connections and refuses it another until Reconnect.
func (m *Memory) Disconnect(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away[node] = true
	for _, c := range slices.Clone(m.attached[node]) {
		c.end(ErrClosed)
	}
}

// Reconnect lets a node connect again.
func (m *Memory) Reconnect(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.away, node)
}
