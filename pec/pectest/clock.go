package pectest

import (
	"container/heap"
	"context"
	"encoding/json"
	"sync"
	"time"
)

// clock is the time of a network. It runs at a speed of its own, or stands still,
// and a test moves it forward: what was to happen in the time between happens
// then, in order, each thing at its instant.
type clock struct {
	speed float64

	advancing sync.Mutex // held while the clock is moved by steps

	mu     sync.Mutex
	real   time.Time // when the clock showed base
	base   time.Time
	steps  bool // the clock is being moved: it shows base
	events eventHeap
	seq    uint64
	wake   chan struct{} // tells run that events changed

	// settle waits until what an event set off is done; nil in tests.
	settle func()
}

// event is something to do at an instant.
type event struct {
	at    time.Time
	seq   uint64 // events of one instant happen in the order in which they were planned
	do    func()
	index int // in the heap; -1 when it is out
}

func newClock(start time.Time, speed float64) *clock {
	return &clock{speed: speed, real: time.Now(), base: start, wake: make(chan struct{}, 1)}
}

// Now returns the simulated present.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *clock) now() time.Time {
	if c.steps || c.speed == 0 {
		return c.base
	}
	return c.base.Add(time.Duration(float64(time.Since(c.real)) * c.speed))
}

// Reading is what a clock shows: another process on the same machine finds the
// simulated present at the real time t as Simulated + Speed × (t − Real). It
// holds as long as nobody advances the clock.
type Reading struct {
	Real      time.Time `json:"real"`
	Simulated time.Time `json:"simulated"`
	// Speed is how many simulated seconds pass in a real one; 0 if the clock
	// stands still.
	Speed float64 `json:"speed"`
}

// At returns the simulated time at a real one.
func (r Reading) At(t time.Time) time.Time {
	return r.Simulated.Add(time.Duration(float64(t.Sub(r.Real)) * r.Speed))
}

func (c *clock) reading() Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Reading{Real: time.Now().UTC().Round(0), Simulated: c.now().Round(0), Speed: c.speed}
}

// Advance moves the clock forward by d. It returns when everything that falls
// into that time has happened, with what it set off.
func (c *clock) Advance(d time.Duration) {
	c.advancing.Lock()
	defer c.advancing.Unlock()
	c.wait()
	c.mu.Lock()
	target := c.now().Add(d)
	c.base, c.steps = c.now(), true
	c.mu.Unlock()
	for {
		e := c.next(target)
		if e == nil {
			break
		}
		e.do()
		c.wait()
	}
	c.mu.Lock()
	c.base, c.real, c.steps = target, time.Now(), false
	c.mu.Unlock()
	c.poke()
}

func (c *clock) wait() {
	if c.settle != nil {
		c.settle()
	}
}

// next takes the next event up to target out, and shows its instant.
func (c *clock) next(target time.Time) *event {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) == 0 || c.events[0].at.After(target) {
		return nil
	}
	e := heap.Pop(&c.events).(*event)
	if e.at.After(c.base) {
		c.base = e.at
	}
	return e
}

// at plans an event. One in the past happens at once.
func (c *clock) at(t time.Time, do func()) *event {
	c.mu.Lock()
	c.seq++
	e := &event{at: t, seq: c.seq, do: do}
	heap.Push(&c.events, e)
	c.mu.Unlock()
	c.poke()
	return e
}

// cancel takes an event back; nil is none.
func (c *clock) cancel(e *event) {
	if e == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.index >= 0 && e.index < len(c.events) && c.events[e.index] == e {
		heap.Remove(&c.events, e.index)
	}
}

func (c *clock) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run makes events happen as the clock reaches them.
func (c *clock) run(ctx context.Context) {
	for {
		timer := time.NewTimer(c.untilNext())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.wake:
			timer.Stop()
		case <-timer.C:
		}
		c.runDue()
	}
}

// untilNext returns the real time until the next event.
func (c *clock) untilNext() time.Duration {
	const never = time.Hour
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) == 0 {
		return never
	}
	left := c.events[0].at.Sub(c.now())
	switch {
	case left <= 0:
		return 0
	case c.speed == 0:
		return never
	}
	return min(never, time.Duration(float64(left)/c.speed)+time.Millisecond)
}

// runDue makes the events happen that are due, unless Advance is at it.
func (c *clock) runDue() {
	if !c.advancing.TryLock() {
		return
	}
	defer c.advancing.Unlock()
	for {
		c.mu.Lock()
		var e *event
		if len(c.events) > 0 && !c.events[0].at.After(c.now()) {
			e = heap.Pop(&c.events).(*event)
		}
		c.mu.Unlock()
		if e == nil {
			return
		}
		e.do()
	}
}

// eventHeap implements heap.Interface.
type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *eventHeap) Push(x any) {
	e := x.(*event)
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}

// Duration is a time.Duration that is written as text in JSON: "13h30m".
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	*d = Duration(parsed)
	return err
}

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }
