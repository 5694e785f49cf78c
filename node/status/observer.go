package status

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"herd/node/line"
)

// Observe observes the bus until ctx ends, also across lost connections, and calls to with what it receives.
type Observe func(ctx context.Context, to Sink)

// Sink is called with what is observed.
type Sink struct {
	Message func(from, to string, payload []byte) // a message of reports; one call at a time
	Ready   func()                                // from now on no message is missed
	Lost    func(why error)                       // messages are missed until Ready
	Behind  func(why error)                       // some messages were missed because Message took too long
}

const connecting = "connecting to the bus"

// Observer passes the messages of the whole herd to all nodes of a process. It observes the bus only while there are viewers.
type Observer struct {
	observe   Observe      // or nil
	observing atomic.Bool  // no message is missed
	why       atomic.Value // string: the bus is not observed

	gate sync.Mutex // held while the first broadcaster comes or the last one goes
	stop func()     // and wait; guarded by gate

	broadcasters atomic.Pointer[[]*broadcaster] // the slice is replaced with gate held, and never changed
}

// NewObserver returns an observer that calls observe while there are viewers.
func NewObserver(observe Observe) *Observer {
	o := Unobserved(connecting)
	o.observe = observe
	return o
}

// Unobserved returns an observer that receives nothing, for the reason given.
func Unobserved(why string) *Observer {
	o := new(Observer)
	o.why.Store(why)
	o.broadcasters.Store(new([]*broadcaster))
	return o
}

func (o *Observer) state() (observing bool, why string) {
	if o.observing.Load() {
		return true, ""
	}
	return false, o.why.Load().(string)
}

// watch passes what is observed to a broadcaster, until stop is called.
func (o *Observer) watch(b *broadcaster) (stop func()) {
	if o.observe == nil {
		return func() {}
	}
	o.gate.Lock()
	defer o.gate.Unlock()
	before := *o.broadcasters.Load()
	after := append(before[:len(before):len(before)], b)
	o.broadcasters.Store(&after)
	if len(after) == 1 {
		o.start()
	}
	return func() { o.unwatch(b) }
}

func (o *Observer) unwatch(b *broadcaster) {
	o.gate.Lock()
	defer o.gate.Unlock()
	rest := slices.DeleteFunc(slices.Clone(*o.broadcasters.Load()), func(other *broadcaster) bool { return other == b })
	o.broadcasters.Store(&rest)
	if len(rest) == 0 {
		o.stop()
	}
}

func (o *Observer) start() {
	o.why.Store(connecting)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		o.observe(ctx, Sink{o.message, func() { o.observing.Store(true) }, o.lost, o.behind})
		o.observing.Store(false)
	})
	o.stop = func() {
		cancel()
		running.Wait()
	}
}

// message passes on the reports of a message. Lines in the name of another node than its sender are left out.
func (o *Observer) message(from, to string, payload []byte) {
	var reports []line.Report
	for p := range line.Propagations(payload) {
		if p.Err == nil && string(p.From) == from {
			reports = append(reports, p.Report)
		}
	}
	for _, b := range *o.broadcasters.Load() {
		b.transfers.add(line.NodeName(from), line.NodeName(to), reports)
	}
}

func (o *Observer) lost(why error) {
	o.why.Store(why.Error())
	o.observing.Store(false)
}

func (o *Observer) behind(why error) {
	for _, b := range *o.broadcasters.Load() {
		b.notices.put("observer behind", "", why.Error())
	}
}
