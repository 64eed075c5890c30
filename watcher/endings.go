package watcher

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

type listeningContainer struct {
	engine.Container
	by    []server.ID // its listeners
	since time.Time   // start of the scan that first saw an unbroken series of its listeners
}

// An expected is a listener whose container may become known.
type expected struct {
	since time.Time
	until time.Time // when the wait for its container ends
}

// rootGrace is the wait for the container behind an unknown owner: Docker's forwarder, run by root, or any server.
const rootGrace = 2 * time.Second

// note records the containers of a scan's listeners, and the listeners whose container may become known. When a
// container ends again, note forgets how it ended before.
func (n *naming) note(named []server.Listener, began time.Time) {
	now, waiting := map[string]listeningContainer{}, map[server.ID]expected{}
	for _, l := range named {
		id := l.ID()
		if l.Forwardable() && l.Container.ID == "" {
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

// askEnds asks the engines how containers without listeners ended, a few at a time.
func (n *naming) askEnds(ctx context.Context) {
	if n.askingEnds || n.ended == nil || len(n.toAsk) == 0 {
		return
	}
	about := n.toAsk
	n.toAsk, n.askingEnds = nil, true
	go func() { n.answers <- answer{ends: askAll(ctx, n.ended, about)} }()
}

// maxAsked is how many containers askAll asks about at once. Whole projects end together.
const maxAsked = 8

func askAll(ctx context.Context, ended func(context.Context, engine.Container, time.Time) (engine.End, bool),
	about []listeningContainer) map[string]engine.End {
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

// endings returns the known ends of containers within the last minute, by ID. It may be nil, and is never modified.
func (n *naming) endings() map[string]engine.End { return n.ends.known }

// awaits reports whether l may belong to a container that may become known soon. A forwarder listens before its engine
// lists the container. The wait ends RestartGrace after l appeared, or rootGrace for an unknown owner.
func (n *naming) awaits(l server.Listener) bool {
	return time.Now().Before(n.waiting[l.ID()].until) && (n.asking || len(n.answered.Answered) > 0)
}

// awaitPause is how long after a forwarder appeared naming asks the engines again for its container. It asks once more
// each time that age has doubled. Most engines report the container by themselves.
const awaitPause = 500 * time.Millisecond

// scheduleAsk schedules another question to the engines while a container is awaited.
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

// ends remembers for exitMemory how containers ended. The zero value is empty.
type ends struct {
	known map[string]engine.End // a new map after each change
	at    map[string]time.Time
}

// add records how containers ended, and drops old entries.
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

func (e *ends) forget(id string) {
	if _, ok := e.known[id]; ok {
		e.known = maps.Clone(e.known)
		delete(e.known, id)
	}
}
