package status

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"herd/node/line"
)

const maxMap = 100_000 // clients, also by default

// mapped adds /api/v1/map, the places of all clients or a fair sample of them.
func (s *Server) mapped() {
	s.mux.HandleFunc("GET /api/v1/map", func(w http.ResponseWriter, r *http.Request) {
		values, ok := query(w, r, "limit")
		if !ok {
			return
		}
		limit := maxMap
		if text := values.Get("limit"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > maxMap {
				fail(w, http.StatusBadRequest, "limit is not a whole number from 1 to %d", maxMap)
				return
			}
			limit = n
		}
		w.Header().Set("Content-Type", "application/json")
		s.writeMap(w, limit)
	})
}

// writeMap writes {"left_out":n,"origins":[…],"clients":[[id, index of the origin, lat, lon, time], …]}. A row whose ID is not
// UTF-8 has its bytes in base64 as well.
func (s *Server) writeMap(w http.ResponseWriter, limit int) {
	sample, seen := sampleOf(s.Source, limit)
	var origins []line.NodeName
	numbers := make(map[line.NodeName]int)
	for _, r := range sample {
		if _, known := numbers[r.Origin()]; !known {
			numbers[r.Origin()] = len(origins)
			origins = append(origins, r.Origin())
		}
	}
	row := append([]byte(`{"left_out":`), strconv.Itoa(seen-len(sample))...)
	row = append(append(row, `,"origins":`...), encoded(append([]line.NodeName{}, origins...))...)
	row = append(row, `,"clients":[`...)
	out := bufio.NewWriterSize(&patient{w, http.NewResponseController(w)}, 64<<10)
	for i, r := range sample {
		if i > 0 {
			row = append(row, ',')
		}
		row = appendRow(row, r, numbers[r.Origin()])
		if _, err := out.Write(row); err != nil {
			return // who asked is gone
		}
		row = row[:0]
	}
	_, _ = out.Write(append(row, "]}\n"...))
	_ = out.Flush()
}

func appendRow(dst []byte, r line.Report, origin int) []byte {
	id, exact := idText(r.Client())
	lat, lon := r.Coordinates()
	dst = append(append(dst, '['), encoded(id)...)
	dst = strconv.AppendInt(append(dst, ','), int64(origin), 10)
	dst = strconv.AppendFloat(append(dst, ','), lat, 'f', -1, 64)
	dst = strconv.AppendFloat(append(dst, ','), lon, 'f', -1, 64)
	dst = append(append(append(dst, `,"`...), r.Time()...), '"')
	if exact != nil {
		dst = append(append(dst, ','), encoded(exact)...)
	}
	return append(dst, ']')
}

// encoded returns what can be encoded as JSON.
func encoded(what any) []byte {
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // texts always can
	}
	return text
}

// sampleOf returns all reports of a node, or a fair sample of so many, and how many there are.
func sampleOf(source Source, limit int) (sample []line.Report, seen int) {
	for r := range source.Registry().All() {
		seen++
		if len(sample) < limit {
			sample = append(sample, r)
		} else if i := rand.IntN(seen); i < limit {
			sample[i] = r
		}
	}
	return sample, seen
}

// patient gives who reads a long answer its time for each part of it.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(part []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(takeTime)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(part)
}
