package pectest

import (
	"context"
	"sync"
)

// activity counts what is under way, so that one can wait for the end of it.
type activity struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to 0; nil while it is 0
}

func (a *activity) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n++; a.n == 1 {
		a.idle = make(chan struct{})
	}
}

func (a *activity) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n--; a.n == 0 {
		close(a.idle)
		a.idle = nil
	}
}

// wait waits for an instant at which nothing is under way. What one thing sets off
// begins before it ends itself.
func (a *activity) wait(ctx context.Context) error {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// workers do tasks, in the order in which they come and a few at a time. Any
// number of tasks may wait.
type workers struct {
	activity *activity

	mu     sync.Mutex
	ready  sync.Cond
	queue  []func()
	closed bool
	done   sync.WaitGroup
}

func startWorkers(n int, a *activity) *workers {
	w := &workers{activity: a}
	w.ready.L = &w.mu
	for range n {
		w.done.Go(w.work)
	}
	return w
}

// add plans a task. After stop it is dropped.
func (w *workers) add(task func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.activity.begin()
	w.queue = append(w.queue, task)
	w.ready.Signal()
}

func (w *workers) work() {
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closed {
			w.ready.Wait()
		}
		if w.closed {
			w.mu.Unlock()
			return
		}
		task := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.mu.Unlock()
		task()
		w.activity.end()
	}
}

// stop drops what waits, and waits for what is being done.
func (w *workers) stop() {
	w.mu.Lock()
	w.closed = true
	for range w.queue {
		w.activity.end()
	}
	w.queue = nil
	w.ready.Broadcast()
	w.mu.Unlock()
	w.done.Wait()
}
