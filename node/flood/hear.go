package flood

import (
	"unsafe"

	"herd/node/line"
)

// together is how many reports are looked for at a time: as many as bear fruit, and as the fastest cache has room for.
const together = 32

// ApplyBatch does with each report in turn what [Engine.Apply] does, and calls heard, unless that is nil, with it and whether it was news.
//
// It takes half as long for many clients in random order, since the memory that all of them need is fetched first, at the same time.
func (e *Engine) ApplyBatch(reports []line.Report, from line.NodeName, heard func(r line.Report, news bool)) {
	var keys [together]key
	for len(reports) > 0 {
		some := reports[:min(len(reports), together)]
		for i, r := range some {
			keys[i] = keyOf(r.Client())
		}
		if len(some) > 1 {
			e.registry.fetch(keys[:len(some)])
		}
		for i, r := range some {
			news := e.apply(keys[i], r, from)
			if heard != nil {
				heard(r, news)
			}
		}
		reports = reports[len(some):]
	}
}

// fetch has what is needed to look for clients come into the cache: for all of them the slot of the index and the leaf of the tree, then the report,
// then its text. Each tells where the next one is, but those of two clients do not depend on each other, so they come at the same
// time. What changes before it is needed is only waited for.
func (g *Registry) fetch(keys []key) {
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if len(s.reports) > 0 {
			prefetch(unsafe.Pointer(s.index.home(k.hash)))
			prefetch(unsafe.Pointer(s.leafOf(k.id)))
		}
		s.mu.Unlock()
	}
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if place := s.index.guess(k.hash); place >= 0 {
			prefetch(unsafe.Pointer(&s.reports[place]))
		}
		s.mu.Unlock()
	}
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if place := s.index.guess(k.hash); place >= 0 {
			text := s.reports[place].String()
			prefetch(unsafe.Pointer(unsafe.StringData(text)))
			prefetch(unsafe.Pointer(unsafe.StringData(text[len(text)-1:])))
		}
		s.mu.Unlock()
	}
}
