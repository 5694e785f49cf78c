package flood

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"herd/node/line"
)

func texts(reports []line.Report) []string {
	var s []string
	for _, r := range reports {
		s = append(s, r.String())
	}
	return s
}

func at(t testing.TB, client string, time int) line.Report {
	t.Helper()
	return report(t, fmt.Sprintf("A +0.000000000 %s +1-1 %d", client, time))
}

// pop returns what waits, and hands nothing back to the queue.
func (q *Queue) pop() []line.Report { return q.Swap(nil) }

func TestQueueConflates(t *testing.T) {
	q := NewQueue(10)
	for _, r := range []line.Report{at(t, "a", 1), at(t, "b", 1), at(t, "a", 3), at(t, "a", 2), at(t, "c", 1)} {
		q.Push(r)
	}
	select {
	case <-q.Wake():
	default:
		t.Error("a push woke nobody")
	}
	select {
	case <-q.Wake():
		t.Error("woken twice")
	default:
	}
	want := texts([]line.Report{at(t, "a", 3), at(t, "b", 1), at(t, "c", 1)})
	if got := texts(q.pop()); !slices.Equal(got, want) || q.Len() != 0 {
		t.Errorf("swapped %q, want %q, and %d waiting", got, want, q.Len())
	}
}

func TestQueueFull(t *testing.T) {
	q := NewQueue(3)
	for i, c := range []string{"a", "b", "c", "a", "d"} {
		q.Push(at(t, c, i))
	}
	if got, want := texts(q.pop()), texts([]line.Report{at(t, "d", 4)}); !slices.Equal(got, want) || q.Dropped() != 3 {
		t.Errorf("a full queue keeps %q, want %q, and has dropped %d", got, want, q.Dropped())
	}
}

// The queue against a plain list, for random pushes and swaps.
func TestQueueModel(t *testing.T) {
	replaced, dropped := 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		limit := 1 + rng.IntN(40)
		q := NewQueue(limit)
		var model, spare []line.Report
		for step := range 300 {
			if rng.IntN(16) == 0 {
				if spare = q.Swap(spare); !slices.Equal(texts(spare), texts(model)) {
					t.Fatalf("seed %d, step %d: swapped %q, want %q", seed, step, texts(spare), texts(model))
				}
				model = nil
				continue
			}
			r := at(t, fmt.Sprint("c", rng.IntN(50)), rng.IntN(1000))
			q.Push(r)
			i := slices.IndexFunc(model, func(m line.Report) bool { return m.Client() == r.Client() })
			switch {
			case i >= 0 && r.Compare(model[i]) > 0:
				model[i] = r
				replaced++
			case i >= 0:
			case len(model) == limit:
				model = []line.Report{r}
				dropped++
			default:
				model = append(model, r)
			}
		}
		if q.Len() != len(model) {
			t.Fatalf("seed %d: %d waiting, want %d", seed, q.Len(), len(model))
		}
	}
	if replaced < 100 || dropped < 100 {
		t.Errorf("replaced %d, dropped %d: hardly tried", replaced, dropped)
	}
}
