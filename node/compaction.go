package node

import (
	"herd/node/flood"
	"herd/node/store"
)

const (
	// A compaction starts when the store holds this much more than twice the registry, in bytes.
	compactionSlack = 64 << 20
	// A batch writes as much of the registry for a compaction as it has of new reports, but at least so many bytes.
	compactionPace = 1 << 20
)

// compaction keeps the store short: it writes the registry anew, shard after shard along with the batches, and then drops the batches that
// were written before it started. What was in them is in the registry, or in a later batch.
//
// The store writer's goroutine owns it.
type compaction struct {
	registry *flood.Registry
	store    *store.Store

	appended   int    // bytes of the next batch that were appended already
	shard      int    // to be written next; flood.Shards: no compaction is running
	firstBatch uint64 // of those written since it started

	// Sizes in bytes.
	storeBytes    int64 // in the store
	bytesSince    int64 // of these, written since the compaction started
	rewritten     int64 // of these, written for the compaction
	registryBytes int64 // of the registry when it was last written as a whole
}

func (c *compaction) running() bool { return c.shard < flood.Shards }

// due reports whether the store has become too long.
func (c *compaction) due() bool {
	return !c.running() && c.storeBytes > 2*c.registryBytes+compactionSlack
}

// start starts a compaction, or starts it anew.
func (c *compaction) start() {
	c.shard, c.firstBatch, c.bytesSince, c.rewritten = 0, c.store.NextBatch(), 0, 0
}

// append appends the beginning of a batch to the store.
func (c *compaction) append(text []byte) error {
	n := int64(len(text))
	c.storeBytes, c.bytesSince, c.appended = c.storeBytes+n, c.bytesSince+n, c.appended+len(text)
	return c.store.Append(text)
}

// write writes the rest of a batch, and with it what a running compaction is to write next. It returns the memory of text.
func (c *compaction) write(text []byte) ([]byte, error) {
	batch, compacting := len(text), c.running()
	pace := max(batch+c.appended, compactionPace)
	c.appended = 0
	for c.running() && len(text)-batch < pace {
		text = c.registry.AppendShard(text, c.shard)
		c.shard++
	}
	n := int64(len(text))
	c.storeBytes, c.bytesSince, c.rewritten = c.storeBytes+n, c.bytesSince+n, c.rewritten+n-int64(batch)
	if err := c.store.Write(text); err != nil || c.running() || !compacting {
		return text, err
	}
	c.storeBytes, c.registryBytes = c.bytesSince, c.rewritten
	return text, c.store.Drop(c.firstBatch)
}
