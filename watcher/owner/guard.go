package owner

import (
	"context"
	"sync/atomic"
	"time"
)

// A guard runs looks at files, any of which a dead network file system can hold for ever. Such a call cannot be cancelled, so it is
// left behind; while as many hang as there is room for, no more are begun.
type guard struct {
	slots chan struct{} // holds one value for each look at work
	hung  atomic.Int32  // how many of them nobody waits for any more
}

func newGuard(room int) *guard { return &guard{slots: make(chan struct{}, room)} }

// guarded returns what look returns, or false when that takes longer than the limit, or when too many looks hang already.
func guarded[T any](ctx context.Context, g *guard, limit time.Duration, call func(context.Context) T) (result T, ok bool) {
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
	var decided atomic.Bool // set by whichever comes first, the result or the deadline
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
