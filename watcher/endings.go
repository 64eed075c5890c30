package watcher

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"porttray/watcher/owner/engine"
)

// A held is a container that has listeners.
type listeningContainer struct {
	engine.Container
	by    []ID      // its listeners
	since time.Time // when the scan began that saw the first of them, or of those that they followed one by one
}

// An expected is a listener that may be a container's which is not known yet.
type expected struct {
	since time.Time
	until time.Time // when nobody waits for its container any more
}

// rootGrace is how long the container behind an unknown owner is awaited. It may be Docker's forwarder, which is root's, or any server.
const rootGrace = 2 * time.Second

// note notes which containers the listeners of a scan belong to, and which may be those of a container that is not known. What is known of how a
// container ended is forgotten when it ends again.
func (n *naming) note(named []Listener, began time.Time) {
	now, waiting := map[string]listeningContainer{}, map[ID]expected{}
	for _, l := range named {
		id := l.ID()
		if forwardable(l) && l.Container.ID == "" {
			e, known := n.waiting[id]
			if !known {
				grace := RestartGrace
				if !l.Owner.Known() {
					grace = rootGrace
				}
				e = expected{time.Now(), time.Now().Add(grace)}
			}
			waiting[id] = e
		}
		if c := l.Container.ID; c != "" {
			h, noted := now[c]
			if !noted {
				h = listeningContainer{Container: l.Container, since: began}
			}
			if before := n.listening[c]; slices.Contains(before.by, id) {
				h.since = before.since
			}
			h.by = append(h.by, id)
			now[c] = h
		}
	}
	for id, h := range n.listening {
		if _, still := now[id]; !still {
			n.toAsk = append(n.toAsk, h)
			n.ends.forget(id)
		}
	}
	n.listening, n.waiting = now, waiting
}

// askEnds asks the engines how the containers ended whose listeners are gone, a few at a time.
func (n *naming) askEnds(ctx context.Context) {
	if n.askingEnds || n.ended == nil || len(n.toAsk) == 0 {
		return
	}
	about := n.toAsk
	n.toAsk, n.askingEnds = nil, true
	go func() { n.answers <- answer{ends: askAll(ctx, n.ended, about)} }()
}

// maxAsked is how many containers are asked about at once: whole projects end together.
const maxAsked = 8

// askAll asks how containers ended.
func askAll(ctx context.Context, ended func(context.Context, engine.Container, time.Time) (engine.End, bool), about []listeningContainer) map[string]engine.End {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		ends = map[string]engine.End{}
		room = make(chan struct{}, maxAsked)
	)
	for _, h := range about {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			if end, ok := ended(ctx, h.Container, h.since); ok {
				mu.Lock()
				defer mu.Unlock()
				ends[h.ID] = end
			}
		})
	}
	wg.Wait()
	return ends
}

// endings returns how containers ended within the last minute, by their IDs, as far as the engines told it. It may be nil, and it is
// never modified.
func (n *naming) endings() map[string]engine.End { return n.ends.known }

// awaits reports whether l may be the listener of a container that is not known yet, and may become known soon: a forwarder listens
// before its engine lists the container. It is false from RestartGrace after l appeared on, and for an unknown owner sooner.
func (n *naming) awaits(l Listener) bool {
	return time.Now().Before(n.waiting[l.ID()].until) && (n.asking || len(n.answered.Answered) > 0)
}

// awaitPause is how long after a forwarder appeared the engines are asked again for its container. After that they are asked whenever
// the time since then has doubled. Most engines tell of the container by themselves.
const awaitPause = 500 * time.Millisecond

// askAgain sees to it that the engines are asked again while a container is awaited.
func (n *naming) scheduleAsk() {
	if n.asking || n.retry != nil || len(n.answered.Answered) == 0 {
		return
	}
	now, next := time.Now(), time.Duration(0)
	for _, e := range n.waiting {
		if pause := max(now.Sub(e.since), awaitPause); now.Add(pause).Before(e.until) && (next == 0 || pause < next) {
			next = pause
		}
	}
	if next > 0 {
		n.retry = time.After(next)
	}
}

// ends remember for a while how containers ended. The zero value remembers nothing.
type ends struct {
	known map[string]engine.End // a new one after each change
	at    map[string]time.Time
}

// add takes in how containers ended, and forgets what is old.
func (e *ends) add(ended map[string]engine.End, now time.Time) {
	known := maps.Clone(e.known)
	if known == nil {
		known, e.at = map[string]engine.End{}, map[string]time.Time{}
	}
	for id, end := range ended {
		known[id], e.at[id] = end, now
	}
	maps.DeleteFunc(known, func(id string, _ engine.End) bool { return now.Sub(e.at[id]) >= exitMemory })
	maps.DeleteFunc(e.at, func(id string, _ time.Time) bool { _, ok := known[id]; return !ok })
	e.known = known
}

// forget forgets how a container ended.
func (e *ends) forget(id string) {
	if _, ok := e.known[id]; ok {
		e.known = maps.Clone(e.known)
		delete(e.known, id)
	}
}
