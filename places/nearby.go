package places

import (
	"context"
	"errors"
	"slices"
)

// Nearby asks f for the places of q and returns the JSON of the reply with its
// status word and its number of results. It cannot fail: an error of f, a done
// ctx among them, becomes a reply that names the cause in error_message.
//
// Whatever f gives, the reply has at most q.Bound results, all within q.Radius,
// and a status that agrees with them. A bound or radius of 0 asks nobody. The
// JSON is indented by two blanks, without HTML escaping, empty lines or a
// newline at its end; a list without members is [], never null.
func Nearby(ctx context.Context, f Finder, q Query) (body []byte, status string, results int) {
	a := ask(ctx, f, q)
	return encode(&a), a.Status, len(a.Results)
}

// ask returns f's answer to q, cut to what q allows.
func ask(ctx context.Context, f Finder, q Query) Answer {
	if q.Bound <= 0 || !(q.Radius > 0) { // a radius that is no number holds nothing either
		return Answer{Status: ZeroResults}
	}
	a, err := f.Find(ctx, q)
	if err != nil {
		return failure(err)
	}
	a.Results = cut(a.Results, q)
	a.Status = OK
	if len(a.Results) == 0 {
		a.Status = ZeroResults
	}
	return a
}

// cut returns the first q.Bound results that lie within the circle of q, of a list that stays as it is.
// Coordinates that are no numbers lie nowhere.
func cut(results []Place, q Query) []Place {
	within := func(p *Place) bool { return Distance(q.At, p.Geometry.Location) <= q.Radius }
	n := 0
	for n < min(q.Bound, len(results)) && within(&results[n]) {
		n++
	}
	kept := slices.Clip(results[:n]) // most often all, and else copied
	for i := n; i < len(results) && len(kept) < q.Bound; i++ {
		if within(&results[i]) {
			kept = append(kept, results[i])
		}
	}
	return kept
}

// failure returns the answer that tells a client of err.
func failure(err error) Answer {
	a := Answer{Status: UnknownError, ErrorMessage: err.Error()}
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Status {
		case InvalidRequest, OverQueryLimit, RequestDenied:
			a.Status = e.Status
		}
	}
	return a
}
