package status

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"herd/node/line"
)

// Observe observes the bus until ctx ends, whatever happens to the connection, and tells what it sees.
type Observe func(ctx context.Context, s Sight)

// Sight takes what is observed.
type Sight struct {
	See    func(from, to string, payload []byte) // one message of reports after the other
	Ready  func()                                // nothing more is missed
	Lost   func(why error)                       // that is over, or cannot begin
	Behind func(why error)                       // messages are missed because See takes too long
}

const connecting = "connecting to the bus"

// Observer shows the hops of the whole herd to all nodes of a process. It observes only while somebody watches.
type Observer struct {
	observe   Observe      // or nil
	observing atomic.Bool  // nothing is missed
	why       atomic.Value // string: not

	gate sync.Mutex // held while the first comes or the last goes
	stop func()     // and wait; guarded by gate

	tellers atomic.Pointer[[]*teller] // those who watch; replaced with gate held
}

// NewObserver returns an observer that observes in this way.
func NewObserver(observe Observe) *Observer {
	o := Unobserved(connecting)
	o.observe = observe
	return o
}

// Unobserved returns an observer that sees nothing, for the reason given.
func Unobserved(why string) *Observer {
	o := new(Observer)
	o.why.Store(why)
	o.tellers.Store(new([]*teller))
	return o
}

func (o *Observer) state() (observing bool, why string) {
	if o.observing.Load() {
		return true, ""
	}
	return false, o.why.Load().(string)
}

// watch has a teller get what is observed, until stop is called.
func (o *Observer) watch(t *teller) (stop func()) {
	if o.observe == nil {
		return func() {}
	}
	o.gate.Lock()
	defer o.gate.Unlock()
	before := *o.tellers.Load()
	after := append(before[:len(before):len(before)], t)
	o.tellers.Store(&after)
	if len(after) == 1 {
		o.start()
	}
	return func() { o.unwatch(t) }
}

func (o *Observer) unwatch(t *teller) {
	o.gate.Lock()
	defer o.gate.Unlock()
	rest := slices.DeleteFunc(slices.Clone(*o.tellers.Load()), func(other *teller) bool { return other == t })
	o.tellers.Store(&rest)
	if len(rest) == 0 {
		o.stop()
	}
}

func (o *Observer) start() {
	o.why.Store(connecting)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		o.observe(ctx, Sight{o.see, func() { o.observing.Store(true) }, o.lost, o.behind})
		o.observing.Store(false)
	})
	o.stop = func() {
		cancel()
		running.Wait()
	}
}

// see takes a message. What is no report of a neighbour is left out: whoever can send such a message could say anything.
func (o *Observer) see(from, to string, payload []byte) {
	var reports []line.Report
	for p := range line.Propagations(payload) {
		if p.Err == nil && string(p.From) == from {
			reports = append(reports, p.Report)
		}
	}
	for _, t := range *o.tellers.Load() {
		t.hops.add(line.NodeName(from), line.NodeName(to), reports)
	}
}

func (o *Observer) lost(why error) {
	o.why.Store(why.Error())
	o.observing.Store(false)
}

func (o *Observer) behind(why error) {
	for _, t := range *o.tellers.Load() {
		t.notices.put("observer behind", "", why.Error())
	}
}
