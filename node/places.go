package node

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"herd/node/status"
	"herd/places"
)

const complaintGap = time.Minute // between two entries about failures of a provider with the same status

// PlacesLog returns a Watch that writes what an operator has to know of the providers of places: failures, at most one entry a minute
// for each status, with the number of those that were passed over, and a breaker that turns. What the providers answer is not written.
func PlacesLog(log *zap.Logger) places.Watch {
	w := &placesLog{log: log, failed: make(map[complaint]*failures)}
	return w.watch
}

type placesLog struct {
	log *zap.Logger

	mu     sync.Mutex
	failed map[complaint]*failures
}

// complaint is what is written about once a minute.
type complaint struct{ provider, status string }

type failures struct {
	logged time.Time
	more   int // since then
}

func (w *placesLog) watch(e places.Event) {
	switch {
	case e.Kind == places.Called && e.Err != nil:
		w.fail(e)
	case e.Kind == places.Retried:
		w.log.Debug("asking again", zap.String("provider", e.Provider), zap.Error(e.Err))
	case e.Kind == places.BreakerTurned && e.State == places.Open:
		w.log.Warn("provider of places not asked for a while", zap.String("provider", e.Provider), zap.Error(e.Err))
	case e.Kind == places.BreakerTurned:
		w.log.Info("provider of places", zap.String("provider", e.Provider), zap.String("breaker", string(e.State)))
	}
}

func (w *placesLog) fail(e places.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	about := complaint{e.Provider, e.Status}
	f := w.failed[about]
	if f != nil && now.Sub(f.logged) < complaintGap {
		f.more++
		return
	}
	fields := []zap.Field{zap.String("provider", e.Provider), zap.String("status", e.Status), zap.String("error", e.Err.Error())}
	if f != nil && f.more > 0 {
		fields = append(fields, zap.Int("others", f.more))
	}
	w.failed[about] = &failures{logged: now}
	w.log.Warn("provider of places failed", fields...)
}

// providers returns what was counted in the form of the health.
func providers(counts map[string]places.Count) map[string]status.Provider {
	all := make(map[string]status.Provider, len(counts))
	for name, c := range counts {
		all[name] = status.Provider{
			Calls: c.Calls, Statuses: c.Statuses, CallSeconds: c.CallTime.Seconds(), Retries: c.Retries,
			CacheHits: c.CacheHits, Joined: c.Joined, Fallbacks: c.Fallbacks, Breaker: string(c.Breaker),
		}
	}
	return all
}
