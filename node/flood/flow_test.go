package flood

import (
	"fmt"
	"testing"
	"time"

	"herd/bus/subject"
	"herd/node/line"
)

// What a neighbour has not taken yet keeps more from being sent, until it says that it has, which it does as soon as it has taken
// much. When it is down the sender does not wait for it.
func TestFlow(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.engines["A"].Links()[0].Queue.SetLimit(1 << 20)
	p.pass(t, 3*time.Second)
	a, b := p.link("A", "B"), p.link("B", "A")
	apply := func(clients int) {
		for i := range clients {
			p.engines["A"].Apply(at(t, fmt.Sprint("c", i), int(p.now.Unix())), Local)
		}
	}
	// next returns the messages of reports that there are, and how many reports are in them.
	next := func() (messages []Message, reports int) {
		for {
			var m Message
			if !a.Next(p.now, &m) {
				return messages, reports
			}
			if m.Kind == subject.Propagate {
				messages, reports = append(messages, m), reports+len(m.Reports)
			}
		}
	}
	apply(maxInFlight + 3*acknowledgeEvery)
	sent, reports := next()
	if reports != maxInFlight {
		t.Fatalf("%d reports in flight, want %d", reports, maxInFlight)
	}
	early, taken := 0, 0
	for _, m := range sent {
		if err := b.Receive(p.now, m, nil); err != nil {
			t.Fatal(err)
		}
		taken += len(m.Reports)
		var beat Message
		if !b.Next(p.now, &beat) {
			continue
		}
		early++
		if beat.Kind != subject.Heartbeat || taken != early*acknowledgeEvery {
			t.Fatalf("message of kind %s when %d reports are taken", beat.Kind, taken)
		}
		if err := a.Receive(p.now, beat, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, reports := next(); early != maxInFlight/acknowledgeEvery || reports != 3*acknowledgeEvery {
		t.Errorf("after %d early heartbeats %d reports are sent, want %d", early, reports, 3*acknowledgeEvery)
	}

	p.now = p.now.Add(silenceTimeout)
	apply(2 * maxInFlight)
	p.engines["A"].Tick(p.now)
	if _, reports := next(); reports != 2*maxInFlight || len(a.flow.marks) != 0 {
		t.Errorf("%d reports are sent to a neighbour that is down, want %d", reports, 2*maxInFlight)
	}
}

// While heartbeats wait behind reports, these are the sign that the neighbour lives: the link stays up, the neighbour gets acknowledgements, and so
// what is in flight stays bounded. They bring back no link that is down, and what an earlier start of the neighbour has sent is no sign.
func TestReportsAreSignsOfLife(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.pass(t, 3*time.Second)
	a, b := p.link("A", "B"), p.link("B", "A")
	number, _ := a.Queue.lastMessage()
	take := func(from subject.Incarnation) {
		number++
		m := Message{Kind: subject.Propagate, Stamp: subject.Stamp{Incarnation: from, Number: number}, Reports: []line.Report{at(t, "c", int(number))}}
		if err := b.Receive(p.now, m, nil); err != nil {
			t.Fatal(err)
		}
	}
	state := func() State {
		p.now = p.now.Add(time.Second)
		p.engines["B"].Tick(p.now)
		return b.Status().State
	}
	for i := range 10 {
		take(p.engines["A"].config.Incarnation)
		if got := state(); got != Up {
			t.Fatalf("%v after %d s with reports", got, i+1)
		}
		var beat Message
		if b.live.heartbeatDue = p.now; !b.Next(p.now, &beat) || beat.Kind != subject.Heartbeat {
			t.Fatal("no heartbeat")
		}
		if h, err := parseHeartbeat(string(beat.Payload)); err != nil || h.echo != p.engines["A"].config.Incarnation || h.acknowledged != number {
			t.Fatalf("%v: after %d s %d is said to be taken of %x, want %d", err, i+1, h.acknowledged, h.echo, number)
		}
	}
	var states []State
	for range 3 {
		take(subject.Incarnation{99}) // an earlier start's
		states = append(states, state())
	}
	since := b.Status().SilentSince
	take(p.engines["A"].config.Incarnation)
	if got := append(states, state()); got[0] != Up || got[1] != Up || got[2] != Down || got[3] != Down || b.Status().SilentSince != since {
		t.Errorf("%v after silence and a report, silent since %v, want %v", got, b.Status().SilentSince, since)
	}
}

// Reports do not stand in for heartbeats for good: without heartbeats nothing is acknowledged, and reports beyond the limit would never be sent.
func TestHeartbeatsMissing(t *testing.T) {
	p := newNetwork(star(t, "A", "B"))
	p.pass(t, 3*time.Second)
	a, b := p.link("A", "B"), p.link("B", "A")
	number, _ := a.Queue.lastMessage()
	beaten := b.Status().SilentSince
	for b.Status().State == Up && p.now.Sub(beaten) < 2*lateHeartbeat {
		number++
		m := Message{Kind: subject.Propagate, Stamp: subject.Stamp{Incarnation: p.engines["A"].config.Incarnation, Number: number}, Reports: []line.Report{at(t, "c", int(number))}}
		if err := b.Receive(p.now, m, nil); err != nil {
			t.Fatal(err)
		}
		p.now = p.now.Add(heartbeatInterval / 2)
		p.engines["B"].Tick(p.now)
	}
	if took := p.now.Sub(beaten); took < lateHeartbeat+silenceTimeout-heartbeatInterval || took > lateHeartbeat+silenceTimeout+heartbeatInterval {
		t.Errorf("the link is down %v after the last heartbeat, want about %v", took, lateHeartbeat+silenceTimeout)
	}
	if !b.maySend() {
		t.Error("the neighbour, which may hear, is told nothing")
	}
}
