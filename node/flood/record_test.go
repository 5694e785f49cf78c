package flood

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

const someRecord = "Hands,AQIDAAAAAAAAAAAAAAAAAA,1700000000000000000,7,3,00000000000000ff,v1.2.3,Goloman:u,Wilkes:d"

func recording(c *Config) { c.Version, c.Started = "v1.2.3", time.Unix(1_700_000_000, 0) }

// A record is parsed to what it was made of.
func TestRecordText(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	e := connected(Config{Name: "Hands", Incarnation: subject.Incarnation{1, 2, 3}, Topology: star(t, "Hands", "Goloman", "Wilkes"), Version: "v1.2.3", Started: now.Add(-7500 * time.Millisecond)})
	e.Links()[0].live.alive, e.Links()[0].sync.caughtUp = true, true
	e.Apply(at(t, "k", 1), Local)
	r := e.Records(now)[0]
	sum, _ := e.registry.Digest()
	want := fmt.Sprintf("Hands,AQIDAAAAAAAAAAAAAAAAAA,1700000000000000000,7,1,%016x,v1.2.3,Goloman:u,Wilkes:d", sum)
	if r.text != want || r.encode(now.Add(1500*time.Microsecond)) != "2,"+want {
		t.Errorf("%q, told as %q, want %q", r.text, r.encode(now.Add(1500*time.Microsecond)), want)
	}
	later := now.Add(time.Hour)
	parsed, err := parseRecord(later, "250,"+r.text)
	r.Received, r.Created = later, later.Add(-250*time.Millisecond)
	if err != nil || !reflect.DeepEqual(*parsed, r) {
		t.Errorf("%v: %+v is understood as %+v", err, r, parsed)
	}
}

// What has no place in a record is left out of it.
func TestRecordOfMuch(t *testing.T) {
	var peers []line.NodeName
	for i := range 200 {
		peers = append(peers, line.NodeName(fmt.Sprintf("%032d", i)))
	}
	e := connected(Config{Name: "A", Incarnation: subject.Incarnation{1}, Topology: star(t, "A", peers...), Version: "v1 (größer, älter)" + strings.Repeat("x", 100)})
	r := e.Records(time.Time{})[0]
	if r.Version != "v1_(gr__er__lter)"+strings.Repeat("x", 47) && len(r.Version) != maxVersion {
		t.Errorf("version %q", r.Version)
	}
	if len(r.text) > maxRecord || len(r.text) < maxRecord-40 || len(r.Links) != strings.Count(r.text, ":d") {
		t.Errorf("%d bytes, %d links", len(r.text), len(r.Links))
	}
	if parsed, err := parseRecord(time.Time{}, "0,"+r.text); err != nil || !slices.Equal(parsed.Links, r.Links) {
		t.Errorf("%v: %+v", err, parsed)
	}
}

func FuzzRecord(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	for sent, sound := range map[string]bool{
		"0," + someRecord:                    true,
		"599999," + someRecord:               true,
		"18446744073709551615," + someRecord: true, // old
		"0," + someRecord + ",new=1,other=":  true,
		"":                                   false,
		"0,":                                 false,
		someRecord:                           false,
		"-1," + someRecord:                   false,
		"00," + someRecord:                   false,
		"0," + someRecord + ",Hands:x":       false,
		"0," + someRecord + ",Hands:":        false,
		"0," + someRecord + ",Hands:ud":      false,
		"0," + someRecord + ",new":           false,
		"0," + someRecord + ",x=\x7f":        false,
		"0," + someRecord + ",x=ä":           false,
		"0," + someRecord + ",x=" + strings.Repeat("y", maxRecord):                         false,
		"0," + strings.Replace(someRecord, "Hands", "", 1):                                 false,
		"0," + strings.Replace(someRecord, "Hands", "Ha.ds", 1):                            false,
		"0," + strings.Replace(someRecord, "AQID", "AAAA", 1):                              false, // no incarnation
		"0," + strings.Replace(someRecord, "17", "9917", 1):                                false, // a time too large
		"0," + strings.Replace(someRecord, ",7,", ",9999999999,", 1):                       false,
		"0," + strings.Replace(someRecord, ",7,", ",-7,", 1):                               false,
		"0," + strings.Replace(someRecord, ",3,", ",,", 1):                                 false,
		"0," + strings.Replace(someRecord, "ff", "f", 1):                                   false,
		"0," + strings.Replace(someRecord, "v1.2.3", "", 1):                                false,
		"0," + strings.Replace(someRecord, "v1.2.3", strings.Repeat("v", maxVersion+1), 1): false,
	} {
		if _, err := parseRecord(now, sent); (err == nil) != sound || err != nil && !errors.Is(err, ErrRecord) {
			f.Errorf("%q: %v", sent, err)
		}
		f.Add(sent)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		r, err := parseRecord(now, sent)
		if err != nil {
			return
		}
		if _, text, _ := strings.Cut(sent, ","); r.text != text || r.Created.After(now) || r.Time < 0 || r.Uptime < 0 || r.Clients < 0 {
			t.Errorf("%q is understood as %+v", sent, r)
		}
		again, err := parseRecord(now, r.encode(now))
		if err != nil || r.compare(again) != 0 || now.Sub(r.Created) < recordLife && !reflect.DeepEqual(again, r) {
			t.Errorf("%v: %+v is told as %q, understood as %+v", err, r, r.encode(now), again)
		}
	})
}

// receiveHeartbeat has a node receive a heartbeat of a neighbour, with these records.
func (n *network) receiveHeartbeat(from, to line.NodeName, records ...string) error {
	b := heartbeat{incarnation: subject.Incarnation{9}, received: acknowledgement{of: n.engines[to].config.Incarnation}, cutoff: keepAll, topologyPrint: n.topo.Fingerprint(), records: records}
	return n.link(to, from).Receive(n.now, Message{Kind: subject.Heartbeat, Payload: b.append(nil)}, nil)
}

// said returns the records in the next heartbeat of a node to a neighbour.
func (n *network) sentRecords(t *testing.T, from, to line.NodeName) []string {
	var m Message
	l := n.link(from, to)
	l.live.heartbeatDue = n.now
	if !l.Next(n.now, &m) || m.Kind != subject.Heartbeat {
		t.Fatal("no heartbeat")
	}
	b, err := parseHeartbeat(string(m.Payload))
	if err != nil || len(m.Payload) > maxRecordText+1024 {
		t.Fatal(err, len(m.Payload))
	}
	return b.records
}

func numbered(name string, number int) string {
	return strings.Replace(strings.Replace(someRecord, "Hands", name, 1), "1700000000000000000", fmt.Sprint(number), 1)
}

// In whatever order records come, and however often, the same are left: those of the latest time, then the greatest.
func TestLastRecordWins(t *testing.T) {
	var all []string
	for i := range 30 {
		r := numbered(fmt.Sprint("n", i%3), 1000+i/18)
		if i%2 == 0 {
			r = strings.Replace(r, "AQID", "AQIE", 1)
		}
		all = append(all, "0,"+strings.Replace(r, "v1.2.3", fmt.Sprint("v", i), 1))
	}
	var want []Record
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		n := newNetwork(star(t, "A", "B", "C"))
		for range 60 {
			if err := n.receiveHeartbeat([]line.NodeName{"B", "C"}[rng.IntN(2)], "A", all[rng.IntN(len(all))]); err != nil {
				t.Fatal(err)
			}
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, r := range all {
			if err := n.receiveHeartbeat("B", "A", r); err != nil {
				t.Fatal(err)
			}
		}
		got := n.engines["A"].Records(n.now)
		if want == nil {
			want = got
		}
		if len(got) != 4 || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
		}
	}
	if r := want[1]; r.Time != 1001 || r.Incarnation[2] != 4 || r.Version != "v24" {
		t.Errorf("%+v won", want[1])
	}
}

// Each record is sent over a link once, and not over the link that brought it; a neighbour that sends an older one is sent the later; a new one is sent all.
func TestRecordsSentOnce(t *testing.T) {
	n := newNetwork(star(t, "A", "B", "C"), recording)
	a := n.engines["A"]
	_ = n.receiveHeartbeat("B", "A") // so that its incarnation is known
	_ = n.receiveHeartbeat("C", "A")
	names := func(sent []string) (names []string) {
		for _, r := range sent {
			names = append(names, strings.Split(r, ",")[1])
		}
		return names
	}
	expect := func(to line.NodeName, want ...string) {
		t.Helper()
		if got := names(n.sentRecords(t, "A", to)); !slices.Equal(got, want) {
			t.Errorf("%s is told %q, want %q", to, got, want)
		}
	}
	expect("B", "A")
	expect("B")
	expect("C", "A")
	_ = n.receiveHeartbeat("B", "A", "0,"+numbered("x", 5))
	expect("B")
	expect("C", "x")
	_ = n.receiveHeartbeat("C", "A", "0,"+numbered("x", 5)) // it had that from elsewhere
	expect("C")
	_ = n.receiveHeartbeat("C", "A", "0,"+numbered("x", 4))
	expect("C", "x")
	expect("C")
	_ = n.receiveHeartbeat("B", "A", "0,"+numbered("y", 1))
	_ = n.receiveHeartbeat("C", "A", "0,"+numbered("y", 2)) // before it was sent
	expect("C")
	expect("B", "y")
	n.now = n.now.Add(recordEvery - 1)
	expect("B")
	n.now = n.now.Add(1)
	expect("B", "A")
	expect("C", "A")
	n.now = n.now.Add(2 * time.Second)
	a.Disconnect(n.now)
	a.Connect(n.now)
	_ = n.receiveHeartbeat("B", "A")
	expect("B", "A", "x", "y")
	expect("C")
}

// Of too many records each has its turn, a heartbeat stays small, and what is too many to keep is refused and counted. So is what is
// malformed; the rest of the heartbeat is taken all the same.
func TestRecordBounds(t *testing.T) {
	n := newNetwork(star(t, "A", "B", "C"), recording)
	const names = maxRecordNodes + 10
	refused := 0
	for i := 0; i < names; i += maxRecords / 2 {
		var records []string
		for j := i; j < min(i+maxRecords/2, names); j++ {
			records = append(records, "0,"+numbered(fmt.Sprint("n", j), 1)+",x="+strings.Repeat("y", j%700))
		}
		if err := n.receiveHeartbeat("B", "A", records...); err != nil {
			if refused++; !errors.Is(err, ErrRecord) {
				t.Fatal(err)
			}
		}
	}
	a, b := n.engines["A"], n.link("A", "B")
	if got := len(a.Records(n.now)); got != maxRecordNodes+1 || b.Status().RecordsRefused != 10 || refused != 2 {
		t.Errorf("%d names, %d refused, %d errors", got, b.Status().RecordsRefused, refused)
	}
	seen := make(map[string]int)
	for beats := 0; len(seen) < maxRecordNodes+1; beats++ {
		sent := n.sentRecords(t, "A", "C")
		if len(sent) == 0 || len(sent) > maxRecords || beats > 90 {
			t.Fatalf("%d records in heartbeat %d, %d names so far", len(sent), beats, len(seen))
		}
		for _, r := range sent {
			seen[strings.Split(r, ",")[1]]++
		}
		// Those that were sent are renewed at once, and do not come before others.
		var again []string
		for _, r := range sent {
			if f := strings.Split(r, ","); f[1] != "A" {
				again = append(again, "0,"+numbered(f[1], 2+beats))
			}
		}
		if err := n.receiveHeartbeat("B", "A", again...); err != nil {
			t.Fatal(err)
		}
	}

	n = newNetwork(star(t, "A", "B", "C"), recording)
	var many []string
	for i := range maxRecords + 3 {
		many = append(many, "0,"+numbered(fmt.Sprint("n", i), 1))
	}
	many[3], many[5] = "0,nonsense", "700000,"+numbered("old", 1)
	b = n.link("A", "B")
	if err := n.receiveHeartbeat("B", "A", many...); !errors.Is(err, ErrRecord) {
		t.Errorf("error %v", err)
	}
	if got := len(n.engines["A"].Records(n.now)); got != 1+maxRecords-2 || b.Status().RecordsRefused != 4 || b.Status().State == Down {
		t.Errorf("%d records, %+v", got, b.Status())
	}
}

// In a large herd records are rarer, so that a link carries four a second of all nodes; but a link that comes up or goes down is known to
// all soon.
func TestRecordsOfALargeHerd(t *testing.T) {
	n := newNetwork(star(t, "A", "B", "C"), recording)
	const others = 119
	for i := range others {
		if err := n.receiveHeartbeat("B", "A", "0,"+numbered(fmt.Sprint("n", i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	own := func(seconds int) (at []int) { // when A has made a record
		for s := range seconds {
			n.now = n.now.Add(time.Second)
			n.engines["A"].Tick(n.now)
			for _, r := range n.sentRecords(t, "A", "C") {
				if strings.Split(r, ",")[1] == "A" && strings.HasPrefix(r, "0,") {
					at = append(at, s+1)
				}
			}
		}
		return at
	}
	own(20) // B is silent, and so is down
	if got, want := own(95), []int{16, 46, 76}; !slices.Equal(got, want) {
		t.Errorf("of %d nodes a record after %d s, want %d", others+1, got, want)
	}
	if err := n.receiveHeartbeat("B", "A"); err != nil { // it is up for some seconds
		t.Fatal(err)
	}
	if got, want := own(40), []int{1, 6, 36}; !slices.Equal(got, want) {
		t.Errorf("when a link was up for a moment a record after %d s, want %d", got, want)
	}
}

// Who says in a node's name what nothing can be later than silences it for 10 minutes, not for ever.
func TestLastTimeThereIs(t *testing.T) {
	n := newNetwork(star(t, "A", "B"), recording)
	if err := n.receiveHeartbeat("B", "A", "0,"+numbered("A", math.MaxInt64)); err != nil {
		t.Fatal(err)
	}
	n.now = n.now.Add(recordLife - time.Second)
	n.sentRecords(t, "A", "B") // the other one
	if own := n.engines["A"].Records(n.now)[0]; own.Incarnation != n.engines["A"].config.Incarnation || own.Version != "v1.2.3" {
		t.Errorf("a node takes itself for %+v", own)
	}
	if sent := n.sentRecords(t, "A", "B"); len(sent) != 0 {
		t.Errorf("told %q", sent)
	}
	n.now = n.now.Add(time.Second)
	n.engines["A"].Tick(n.now)
	if sent := n.sentRecords(t, "A", "B"); len(sent) != 1 || !strings.Contains(sent[0], fmt.Sprint(",", n.now.UnixNano(), ",")) {
		t.Errorf("told %q", sent)
	}
}

// A link says when digests were compared last, and what came of it.
func TestCompared(t *testing.T) {
	n := newNetwork(star(t, "A", "B"))
	a := n.link("A", "B")
	if s := a.Status(); !s.DigestCompared.IsZero() || s.DigestEqual {
		t.Errorf("before: %+v", s)
	}
	n.pass(t, 10*time.Second)
	if s := a.Status(); n.now.Sub(s.DigestCompared) >= heartbeatInterval || !s.DigestEqual {
		t.Errorf("%s ago, equal %v", n.now.Sub(s.DigestCompared), s.DigestEqual)
	}
	n.engines["A"].registry.Merge(at(t, "k", 1)) // which is sent to no neighbour
	for a.Status().DigestEqual {
		n.now = n.now.Add(time.Second / 4)
		n.deliverAll(t)
	}
	if s := a.Status(); s.DigestCompared != n.now {
		t.Errorf("compared %s ago", n.now.Sub(s.DigestCompared))
	}
	n.pass(t, 3*time.Second)
	compared := a.Status().DigestCompared
	n.cut("B")
	n.pass(t, 10*time.Second)
	if s := a.Status(); s.State != Down || !s.DigestEqual || s.DigestCompared.Sub(compared) > heartbeatInterval {
		t.Errorf("cut off: %+v", s)
	}
}
