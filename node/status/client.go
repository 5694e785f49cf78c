package status

import (
	"time"

	"herd/node/line"
)

// Client is the report that a node holds of a client.
type Client struct {
	ID         string        `json:"id"`                  // U+FFFD where it is not UTF-8
	IDBase64   []byte        `json:"id_base64,omitempty"` // its bytes, if so
	Origin     line.NodeName `json:"origin"`
	Skew       string        `json:"skew"`
	Position   string        `json:"position"` // as the client wrote it
	Lat        float64       `json:"lat"`      // degrees
	Lon        float64       `json:"lon"`
	Time       string        `json:"time"`        // of the client: POSIX seconds, as it wrote them
	AgeSeconds float64       `json:"age_seconds"` // since the origin received it, by its clock
	Line       string        `json:"line"`        // as a client is answered
}

func clientOf(r line.Report, now time.Time) Client {
	c := Client{
		Origin: r.Origin(), Skew: r.Skew(), Position: r.Position(), Time: r.Time(), Line: "AT " + r.String(),
		AgeSeconds: float64(now.UnixNano()-r.Received()) / 1e9,
	}
	c.ID, c.IDBase64 = idText(r.Client())
	c.Lat, c.Lon = r.Coordinates()
	return c
}
