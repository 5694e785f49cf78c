package flood

import "herd/node/line"

// Shards is how many parts a registry can be read in, so that it is never locked for long.
const Shards = shards

// AppendShard appends the texts of the reports held in one part, each with an LF behind, in no order. The part is locked meanwhile.
func (g *Registry) AppendShard(dst []byte, part int) []byte {
	g.shards[part].all(func(r line.Report) bool {
		dst = append(append(dst, r.String()...), '\n')
		return true
	})
	return dst
}
