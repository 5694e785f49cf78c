package status

import (
	"bufio"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"herd/node/line"
)

const maxMap = 100_000 // clients of a map, also the default of limit

// addMap adds /api/v1/map, the positions of all clients or a fair sample of them.
func (s *Server) addMap() {
	s.mux.query("GET /api/v1/map", []string{"limit"}, func(w http.ResponseWriter, _ *http.Request, values url.Values) {
		if limit, ok := limitOf(w, values, maxMap, maxMap); ok {
			w.Header().Set("Content-Type", "application/json")
			s.writeMap(w, limit)
		}
	})
}

// writeMap writes {"left_out":n,"origins":[…],"clients":[[id, index of the origin, lat, lon, time], …]}. A row whose ID is not
// UTF-8 has its bytes in base64 as well.
func (s *Server) writeMap(w http.ResponseWriter, limit int) {
	sample := reservoir[line.Report]{limit: limit}
	for r := range s.config.Source.Registry().All() {
		sample.add(r)
	}
	var origins []line.NodeName
	numbers := make(map[line.NodeName]int)
	for _, r := range sample.items {
		if _, known := numbers[r.Origin()]; !known {
			numbers[r.Origin()] = len(origins)
			origins = append(origins, r.Origin())
		}
	}
	row := append([]byte(`{"left_out":`), strconv.Itoa(sample.seen-len(sample.items))...)
	row = append(append(row, `,"origins":`...), encoded(append([]line.NodeName{}, origins...))...)
	row = append(row, `,"clients":[`...)
	out := bufio.NewWriterSize(&slowWriter{w, http.NewResponseController(w)}, 64<<10)
	for i, r := range sample.items {
		if i > 0 {
			row = append(row, ',')
		}
		row = appendRow(row, r, numbers[r.Origin()])
		if _, err := out.Write(row); err != nil {
			return // the client is gone
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

// slowWriter gives a slow client time for each part of a long answer.
type slowWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (s *slowWriter) Write(part []byte) (int, error) {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return s.ResponseWriter.Write(part)
}
