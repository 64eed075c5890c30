package owner

import (
	"context"
	"sync/atomic"
	"time"
)

// A guard runs looks at files, any of which a dead network file system can hold for ever. Such a call cannot be cancelled, so it is
// left behind; while as many hang as there is room for, no more are begun.
type guard struct {
	looks chan struct{} // holds one value for each look at work
	hung  atomic.Int32  // how many of them nobody waits for any more
}

func newGuard(room int) *guard { return &guard{looks: make(chan struct{}, room)} }

// guarded returns what look returns, or false when that takes longer than the limit, or when too many looks hang already.
func guarded[T any](ctx context.Context, g *guard, limit time.Duration, look func(context.Context) T) (result T, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if int(g.hung.Load()) >= cap(g.looks) {
		return result, false
	}
	select {
	case g.looks <- struct{}{}:
	case <-ctx.Done():
		return result, false
	}
	found := make(chan T, 1)
	var settled atomic.Bool // set by whichever comes first, the result or the deadline
	go func() {
		found <- look(ctx)
		if settled.Swap(true) {
			g.hung.Add(-1)
		}
		<-g.looks
	}()
	select {
	case result = <-found:
		return result, true
	case <-ctx.Done():
		if !settled.Swap(true) {
			g.hung.Add(1)
		}
		return result, false
	}
}
