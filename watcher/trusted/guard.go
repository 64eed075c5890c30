package trusted

import (
	"context"
	"sync/atomic"
	"time"
)

// A Guard runs calls that read files. A dead network file system can block such a call for ever, and nothing can cancel
// it. The guard abandons a blocked call. It starts no new call while its limit of them hang.
type Guard struct {
	slots chan struct{} // holds one value for each running call
	hung  atomic.Int32  // the number of abandoned calls
}

// NewGuard returns a guard that gives up after room calls that hang.
func NewGuard(room int) *Guard { return &Guard{slots: make(chan struct{}, room)} }

// Guarded returns the result of call. It returns false after the time limit, or if too many calls hang already.
func Guarded[T any](ctx context.Context, g *Guard, limit time.Duration,
	call func(context.Context) T) (result T, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if int(g.hung.Load()) >= cap(g.slots) {
		return result, false
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return result, false
	}
	found := make(chan T, 1)
	var decided atomic.Bool // set by the first of result and deadline
	go func() {
		found <- call(ctx)
		if decided.Swap(true) {
			g.hung.Add(-1)
		}
		<-g.slots
	}()
	select {
	case result = <-found:
		return result, true
	case <-ctx.Done():
		if !decided.Swap(true) {
			g.hung.Add(1)
		}
		return result, false
	}
}
