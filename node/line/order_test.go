package line

import (
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	ordered := []string{
		"Z +0.000000000 k +1-1 1",
		"A +0.000000000 k +1-1 2.0",
		"A +0.000000000 k +1-1 2.00", // the same instant and origin: the text decides
		"A +0.000000001 k +1-1 2",
		"B +0.000000000 k +1-1 2",
		"A +0.000000000 k +1-1 2.0000000000001",
		"A -86400.000000001 k +1-1 1735776000.000000001", // received at 1735689600, the first plausible receipt
		"A -0099999.000000000 k +1-1 1735789599.0",       // received then, too: the client's time decides
		"A -99999.000000000 k +1-1 1735789599",
		"A +0.000000000 k +1-1 1735689600.00000000000001",
		"A -86400.000000001 k +1-1 1735786400.000000001", // received at 1735700000, just too much before the client's time
		"B -86400.000000001 k +1-1 1735786400.9",
		"A -86400.000000000 k +1-1 1735786400",           // received at 1735700000, but not too much before
		"A -99999.000000000 k +1-1 1735789598.999999999", // received before 2025, so that the receipt does not count
		"A -7000000000.000000000 k +1-1 8800000000.999999999999",
		"A +9999999.000000000 k +1-1 1800000001",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			x, y := mustReport(t, a), mustReport(t, b)
			if got := x.Compare(y); got != cmp.Compare(i, j) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
			if want := i > j && keyOf(x).compareTimes(keyOf(y)) != 0; x.Later(y) != want {
				t.Errorf("%q is later than %q: %v", a, b, !want)
			}
		}
	}
}

// orderKey is what a report is ordered by, as the documents say it.
type orderKey struct {
	order, time  *big.Rat
	origin, text string
}

func keyOf(r Report) orderKey {
	number := func(text string) *big.Rat {
		n, _ := new(big.Rat).SetString(text)
		return n
	}
	k := orderKey{order: number(r.Time()), time: number(r.Time()), origin: string(r.Origin()), text: r.String()}
	skew := number(r.Skew())
	receipt := new(big.Rat).Add(big.NewRat(r.Nanos(), nano), skew)
	if skew.Cmp(big.NewRat(-24*60*60, 1)) < 0 && receipt.Cmp(big.NewRat(1_735_689_600, 1)) >= 0 {
		k.order = receipt
	}
	return k
}

func (k orderKey) compareTimes(o orderKey) int {
	return cmp.Or(k.order.Cmp(o.order), k.time.Cmp(o.time))
}

func (k orderKey) compare(o orderKey) int {
	return cmp.Or(k.compareTimes(o), strings.Compare(k.origin, o.origin), strings.Compare(k.text, o.text))
}

// randomReport returns a report whose receipt and time are near a few instants, so that they are often equal, a day apart, or
// not plausible.
func randomReport(t testing.TB, rng *rand.Rand) Report {
	instants := []int64{0, 5, 1_735_689_600, 1_735_776_000, 1_800_000_000, 1_800_086_400, 9_000_000_000}
	near := func() int64 { return instants[rng.IntN(len(instants))]*nano + int64(rng.IntN(3)) - 1 }
	sent := max(0, near())
	c := Command{
		Client: []byte("k"), Position: []byte("+1-1"), Nanos: sent,
		Time: fmt.Appendf(nil, "%d.%09d%s", sent/nano, sent%nano, []string{"", "0", "000001"}[rng.IntN(3)]),
	}
	return NewReport([]NodeName{"A", "B"}[rng.IntN(2)], near(), &c)
}

// The order is that of the keys, and so a total order; nothing but the text decides.
func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ahead, equalOrder := 0, 0
	for range 20_000 {
		r, o := randomReport(t, rng), randomReport(t, rng)
		a, b := keyOf(r), keyOf(o)
		if got, want := r.Compare(o), a.compare(b); got != want || o.Compare(r) != -want {
			t.Fatalf("Compare(%q, %q) = %d, the other way round %d, want %d", r, o, got, o.Compare(r), want)
		}
		if got, want := r.Later(o), a.compareTimes(b) > 0; got != want {
			t.Fatalf("%q is later than %q: %v", r, o, got)
		}
		if got := new(big.Int).SetInt64(r.OrderNanos()); got.Cmp(floorNanos(a.order)) != 0 {
			t.Fatalf("OrderNanos of %q is %d", r, got)
		}
		if a.order.Cmp(a.time) != 0 {
			ahead++
			if a.order.Cmp(b.order) == 0 {
				equalOrder++
			}
		}
	}
	if ahead < 1000 || equalOrder < 100 {
		t.Errorf("only %d far-future reports, %d of them with the order time of another", ahead, equalOrder)
	}
}

func floorNanos(seconds *big.Rat) *big.Int {
	n := new(big.Rat).Mul(seconds, big.NewRat(nano, 1))
	return new(big.Int).Quo(n.Num(), n.Denom())
}

// received returns the report of a client whose clock shows sent, at a server whose clock shows received.
func received(received, sent time.Time) Report {
	c := Parse(fmt.Appendf(nil, "IAMAT k +1-1 %d.%09d", sent.Unix(), sent.Nanosecond()))
	return NewReport("A", received.UnixNano(), &c)
}

// A client whose clock was wrong, by however much, is kept out for a day at most once it is right.
func TestWrongDeviceClock(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	keptOut := 0
	for range 10_000 {
		now := time.Unix(1_735_689_600+rng.Int64N(1<<30), rng.Int64N(nano))
		wrong := received(now, []time.Time{time.Unix(0, rng.Int64()), now.Add(time.Duration(rng.Int64N(int64(48 * time.Hour))))}[rng.IntN(2)])
		after := now.Add(time.Duration(rng.Int64N(int64(48 * time.Hour))))
		right := received(after, after)
		if right.Later(wrong) {
			continue
		}
		if keptOut++; after.Sub(now) > 24*time.Hour {
			t.Fatalf("%q keeps %q out", wrong, right)
		}
	}
	if keptOut < 100 {
		t.Errorf("only %d reports were kept out", keptOut)
	}
}

// The reports of a server whose clock was never set are ordered as if it were right, unless the client's is a day ahead.
func TestServerWithoutClock(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	wins := 0
	for range 10_000 {
		now := time.Unix(1_735_689_600+rng.Int64N(1<<30), rng.Int64N(nano))
		sent := now.Add(time.Duration(rng.Int64N(int64(49*time.Hour))) - 25*time.Hour)
		unset := received(time.Unix(rng.Int64N(1_000_000), 0), sent)
		right := received(now, sent)
		at := now.Add(time.Duration(rng.Int64N(int64(48*time.Hour))) - 24*time.Hour)
		other := received(at, at.Add(time.Duration(rng.Int64N(int64(96*time.Hour)))-48*time.Hour))
		if unset.Later(other) != right.Later(other) || other.Later(unset) != other.Later(right) {
			t.Fatalf("%q and %q differ in order to %q", unset, right, other)
		}
		if unset.Later(other) {
			wins++
		}
		if got := unset.Received(); got != sent.UnixNano() {
			t.Fatalf("%q was received at %d", unset, got)
		}
	}
	if wins < 1000 || wins > 9000 {
		t.Errorf("it wins %d times", wins)
	}
}

// Two far-future lines that are read together have one receipt: the client's time decides.
func TestFarFutureTogether(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	first, second := received(now, now.Add(99*time.Hour)), received(now, now.Add(100*time.Hour))
	if !second.Later(first) || first.Later(second) || first.Later(first) {
		t.Errorf("%q and %q", first, second)
	}
	all := []Report{second, received(now, now.Add(1000*time.Hour)), first}
	slices.SortFunc(all, Report.Compare)
	if all[0] != first || all[1] != second {
		t.Errorf("sorted %q", all)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("-86400.000000001", "1900000000.5", "+0.000000000", "1899913599.4999999999")
	f.Add("-9223372036.854775807", "9223372036", "-86401.000000000", "1735776001")
	f.Fuzz(func(t *testing.T, skew, time, otherSkew, otherTime string) {
		r, err := ParseReport("A " + skew + " k +1-1 " + time)
		o, fault := ParseReport("A " + otherSkew + " k +1-1 " + otherTime)
		if err == nil && fault == nil && (r.Compare(o) != keyOf(r).compare(keyOf(o)) || r.Later(o) != (keyOf(r).compareTimes(keyOf(o)) > 0)) {
			t.Fatalf("Compare(%q, %q) = %d, later %v", r, o, r.Compare(o), r.Later(o))
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	older := mustReport(b, example)
	newer := mustReport(b, strings.Replace(example, "934.9", "935.1", 1))
	flip := rand.N(2)
	for b.Loop() {
		if newer.Compare(older)+flip < 1 {
			b.Fatal("wrong order")
		}
	}
}

// Received is compared without being computed where the skew is short.
func TestReceivedAfter(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	after := 0
	for range 20_000 {
		r := randomReport(t, rng)
		bound := r.Received() + []int64{-1, 0, 1, 10_000 * nano, -10_000 * nano, rng.Int64() - r.Received()}[rng.IntN(6)]
		if got := r.ReceivedAfter(bound); got != (r.Received() > bound) {
			t.Fatalf("%q, received at %d, is received after %d: %v", r, r.Received(), bound, got)
		} else if got {
			after++
		}
	}
	for _, skew := range []string{"-9999.999999999", "+9999.999999999", "+0.000000000", "-0000.000000001"} {
		r := mustReport(t, "A "+skew+" k +1-1 1800000000")
		if r.ReceivedAfter(r.Received()) || !r.ReceivedAfter(r.Received()-1) {
			t.Errorf("%q", r)
		}
	}
	if after < 1000 {
		t.Errorf("only %d are", after)
	}
}
