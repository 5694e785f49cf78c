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
	want := texts([]line.Report{at(t, "a", 3), at(t, "b", 1)})
	if got := texts(q.Pop(nil, 2, 1000)); !slices.Equal(got, want) {
		t.Errorf("popped %q, want %q", got, want)
	}
	if got := q.Counts(); got != (QueueCounts{Conflated: 2}) || q.Len() != 1 {
		t.Errorf("counts %+v, %d waiting", got, q.Len())
	}
	q.Push(at(t, "a", 4))
	want = texts([]line.Report{at(t, "c", 1), at(t, "a", 4)})
	if got := texts(q.Pop(nil, 10, 1000)); !slices.Equal(got, want) {
		t.Errorf("popped %q, want %q", got, want)
	}
}

func TestQueuePopBySize(t *testing.T) {
	q := NewQueue(10)
	r := at(t, "a", 1)
	for _, c := range []string{"a", "b", "c"} {
		q.Push(at(t, c, 1))
	}
	for _, tt := range []struct{ size, want int }{{0, 1}, {2*len(r.String()) - 1, 1}, {1000, 1}} {
		if got := q.Pop(nil, 256, tt.size); len(got) != tt.want {
			t.Errorf("popped %d reports within %d bytes, want %d", len(got), tt.size, tt.want)
		}
	}
	if q.Len() != 0 || len(q.Pop(nil, 256, 1000)) != 0 {
		t.Error("something is left")
	}
}

func TestQueueFull(t *testing.T) {
	q := NewQueue(3)
	for i, c := range []string{"a", "b", "c", "a", "d"} {
		q.Push(at(t, c, i))
	}
	if got, want := texts(q.Pop(nil, 10, 1000)), texts([]line.Report{at(t, "d", 4)}); !slices.Equal(got, want) {
		t.Errorf("a full queue keeps %q, want %q", got, want)
	}
	if got, want := q.Counts(), (QueueCounts{Conflated: 1, Dropped: 3}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// Pop returns what pop does without the number.
func (q *Queue) Pop(dst []line.Report, count, size int) []line.Report {
	dst, _ = q.pop(dst, count, size)
	return dst
}

// A burst leaves nothing behind but what still waits.
func TestQueueAfterBurst(t *testing.T) {
	q := NewQueue(1 << 16)
	for i := range 1 << 14 {
		q.Push(at(t, fmt.Sprint("c", i), 1))
	}
	for i := range 1 << 14 {
		q.Push(at(t, fmt.Sprint("d", i), 1))
		want := fmt.Sprint("c", i)
		if got := q.Pop(nil, 1, 1000); len(got) != 1 || string(got[0].Client()) != want {
			t.Fatalf("popped %q, want %s", got, want)
		}
	}
	q.Pop(nil, 1<<14-10, 1<<30)
	if len(q.index.slots) > 8*minSlots || q.Len() != 10 {
		t.Errorf("%d slots for %d clients", len(q.index.slots), q.Len())
	}
	if got := texts(q.Pop(nil, 10, 1000)); len(got) != 10 || got[9] != at(t, fmt.Sprint("d", 1<<14-1), 1).String() {
		t.Errorf("last of all %q", got)
	}
}

// The queue against a plain list, for random pushes and pops.
func TestQueueModel(t *testing.T) {
	replaced, dropped, compacted := 0, 0, 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		limit := 1 + rng.IntN(40)
		q := NewQueue(limit)
		var model, spare []line.Report
		for step := range 300 {
			if rng.IntN(3) > 0 {
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
				continue
			}
			if rng.IntN(8) == 0 {
				if spare = q.Swap(spare); !slices.Equal(texts(spare), texts(model)) {
					t.Fatalf("seed %d, step %d: swapped %q, want %q", seed, step, texts(spare), texts(model))
				}
				model = nil
				continue
			}
			n := min(rng.IntN(6), len(model))
			if got := texts(q.Pop(nil, n, 1<<20)); !slices.Equal(got, texts(model[:n])) {
				t.Fatalf("seed %d, step %d: popped %q, want %q", seed, step, got, texts(model[:n]))
			}
			model = model[n:]
			if q.head == 0 && len(model) > 0 && n > 0 {
				compacted++
			}
		}
		if q.Len() != len(model) {
			t.Fatalf("seed %d: %d waiting, want %d", seed, q.Len(), len(model))
		}
	}
	if replaced < 100 || dropped < 100 || compacted < 100 {
		t.Errorf("replaced %d, dropped %d, compacted %d: hardly tried", replaced, dropped, compacted)
	}
}

// A queue that is dropped again and again, while its link says no more than heartbeats, leaves a gap for each time that the
// neighbour could have repaired in between. Were it one gap, what was lost after the repair would be missed only by chance.
func TestGaps(t *testing.T) {
	q := NewQueue(1)
	push := func(clients ...string) {
		for _, c := range clients {
			q.Push(report(t, "A +0.000000000 "+c+" +1-1 1"))
		}
	}
	last := func(want uint64) {
		t.Helper()
		if got, empty := q.lastMessage(); got != want || empty {
			t.Errorf("the last number is %d, want %d", got, want)
		}
	}
	push("a", "b", "c", "d")
	last(1)
	last(1)
	push("e", "f")
	last(2)
	if r, number := q.pop(nil, 10, 1000); len(r) != 1 || number != 3 {
		t.Errorf("popped %q as %d", r, number)
	}
	push("g", "h")
	last(4)
}
