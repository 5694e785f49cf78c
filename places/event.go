package places

import "time"

// Event is something that happened between a question and its answer, for those who count.
type Event struct {
	Provider string // as places.provider names it
	What     What
	Status   string        // of a Call: how it ended, a status word of an Answer
	Took     time.Duration // of a Call
	State    Breaker       // of a Turn: the breaker's new state
	Err      error         // of a Call, a Retry or a Fall: why; it never holds a key
}

// What says what an Event is.
type What uint8

// The kinds of events.
const (
	Call   What = iota // a provider was asked, with however many attempts, and has answered or failed
	Retry              // an attempt failed, and there will be another
	Hit                // an answer was remembered
	Joined             // a question waits for the answer to the same question, which is under way
	Fall               // another provider answers in place of this one
	Turn               // the provider's breaker turned
)

// Breaker is the state of what keeps a provider that fails from being asked all the time.
type Breaker string

// The states of a breaker.
const (
	Closed   Breaker = "closed"    // the provider is asked
	HalfOpen Breaker = "half-open" // one question at a time tries whether the provider is back
	Open     Breaker = "open"      // the provider is not asked
)

// Watch is told of events as they happen. It is safe for concurrent use and does not wait for anything.
type Watch func(Event)
