package status

import (
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	maxChanged = 1 << 17 // clients of whom is remembered in a tick that they reported
	maxClients = 500     // told in a tick
)

// appendClients appends the event of what changed the registry since the last time, if anything did: each client once, and of too
// many a fair sample.
func (t *teller) appendClients(dst []byte) (text []byte, clients int) {
	changed := t.changed.Swap(t.spare)
	t.spare = changed
	emptied := t.changed.Counts().Dropped
	clients = len(changed) + int(emptied-t.emptied)
	t.emptied = emptied
	if clients == 0 {
		return dst, 0
	}
	var list list
	now := time.Now()
	for i := range min(len(changed), maxClients) {
		if len(changed) > maxClients {
			j := i + rand.IntN(len(changed)-i)
			changed[i], changed[j] = changed[j], changed[i]
		}
		list.add(clientOf(changed[i], now))
	}
	return appendRaw(dst, "clients", []byte(`{"left_out":`), strconv.AppendInt(nil, int64(clients-list.n), 10),
		[]byte(`,"total":`), strconv.AppendInt(nil, int64(t.server.Source.Registry().Len()), 10),
		[]byte(`,"clients":[`), list.text, []byte(`]}`)), clients
}
