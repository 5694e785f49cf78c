package flood

import "herd/node/line"

// together is how many reports are looked for at a time: as many as bear fruit, and as the fastest cache has room for.
const together = 32

// HearAll does with each report in turn what [Engine.Hear] does, and calls heard, unless that is nil, with it and whether it was news.
//
// It takes half as long for clients in random order, since it begins with having the memory come in that all of them need: what is
// read without being waited for is on its way at the same time.
func (e *Engine) HearAll(reports []line.Report, from NodeName, heard func(r line.Report, news bool)) {
	var keys [together]key
	for len(reports) > 0 {
		some := reports[:min(len(reports), together)]
		for i, r := range some {
			keys[i] = keyOf(r.Client())
		}
		if len(some) > 1 {
			e.registry.touch(keys[:len(some)])
		}
		for i, r := range some {
			news := e.hear(keys[i], r, from)
			if heard != nil {
				heard(r, news)
			}
		}
		reports = reports[len(some):]
	}
}

// touch reads what is needed to look for clients: for all of them the slot of the index and the leaf, then the report, then its text. Each tells
// where the next one is, but those of two clients do not depend on each other, so the processor reads ahead: as long as nothing read is
// stored or decided upon, for then it would have to wait at the next lock. What is read may have changed when it is needed.
func (g *Registry) touch(keys []key) (sum uint64) {
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		sum += s.leafSum(k.id) + uint64(s.index.home(k.hash).hash)
		s.mu.Unlock()
	}
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if place := s.index.guess(k.hash); place >= 0 {
			sum += uint64(len(s.reports[place].String()))
		}
		s.mu.Unlock()
	}
	for _, k := range keys {
		s := g.shard(k)
		s.mu.Lock()
		if place := s.index.guess(k.hash); place >= 0 {
			text := s.reports[place].String()
			sum += uint64(text[0]) + uint64(text[len(text)-1])
		}
		s.mu.Unlock()
	}
	return sum
}
