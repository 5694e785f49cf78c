package flood

// LimitMessages has the engine make no message larger than a bus takes, from the next one on. It needs at least 4 KiB. A single report may be
// larger than that.
func (e *Engine) LimitMessages(bytes int) { e.maxMessage.Store(int64(min(bytes, maxText))) }

// messageLimit is the most bytes of a message.
func (e *Engine) messageLimit() int { return int(e.maxMessage.Load()) }
