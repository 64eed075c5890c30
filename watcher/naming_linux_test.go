package watcher

import (
	"context"
	"sync"
	"testing"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// TestRunAsksOnce watches real processes for some hundred ticks, mostly without a change. Each process is asked about
// once, whatever it opens and closes. Finding the facts is the only reason to read its files.
func TestRunAsksOnce(t *testing.T) {
	s := newStage(t)
	one, two := s.enter(), s.enter()
	ports := []uint16{one.listen("a", "127.0.0.1:0"), two.listen("a", "127.0.0.1:0")}
	var mu sync.Mutex
	asked := map[owner.ID]int{}
	w := Watcher{Interval: 10 * time.Millisecond, naming: naming{
		facts: func(ctx context.Context, p owner.Process) (facts.Facts, bool) {
			mu.Lock()
			asked[p.ID()]++
			mu.Unlock()
			return facts.Tell(ctx, p)
		},
		containers: func(context.Context, bool) engine.List { return engine.List{} },
	}}
	ctx, cancel := context.WithCancel(t.Context())
	updates, ended := make(chan Update), make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, updates)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	follow := func(done func(Snapshot) bool, span time.Duration) (met bool) {
		for late := time.After(span); ; {
			select {
			case u := <-updates:
				if done(u.Snapshot) {
					return true
				}
			case <-late:
				return false
			}
		}
	}
	all := func(s Snapshot) bool {
		for _, port := range ports {
			if len(s.Holders(port)) == 0 {
				return false
			}
		}
		return true
	}
	for _, more := range []string{"", "b", "c"} {
		if more != "" {
			ports = append(ports, one.listen(more, "127.0.0.1:0"))
		}
		if !follow(all, patience) {
			t.Fatalf("ports %d do not show up", ports)
		}
	}
	ports = ports[:3]
	one.tell("close c")
	one.bear("a")
	follow(func(Snapshot) bool { return false }, 4*time.Second)
	mu.Lock()
	defer mu.Unlock()
	for _, p := range []*puppet{one, two} {
		if n := asked[p.ID()]; n != 1 {
			t.Errorf("process %d was asked about %d times, want once", p.PID, n)
		}
	}
}
