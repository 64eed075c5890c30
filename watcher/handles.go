package watcher

import (
	"time"

	"porttray/watcher/owner"
)

// handleGrace is how long a handle to a former owner stays open: the process may be about to end.
const handleGrace = 2 * time.Second

// A handle is a handle to a process that owns listeners, or did.
type handle struct {
	owner.Handle
	seen time.Time // when it last owned a listener
}

type handles map[owner.ID]handle

// keep opens handles to the owners, and returns how former owners ended.
func (h handles) keep(owners map[int32]owner.Process, now time.Time) map[owner.ID]owner.Exit {
	for _, p := range owners {
		if !p.Known() {
			continue
		}
		kept, ok := h[p.ID()]
		if !ok {
			kept.Handle = owner.Grip(p)
		}
		kept.seen = now
		h[p.ID()] = kept
	}
	var ended map[owner.ID]owner.Exit
	for id, kept := range h {
		if kept.seen.Equal(now) {
			continue
		}
		exit, final := kept.Exit()
		if exit.How != owner.Unknown {
			if ended == nil {
				ended = map[owner.ID]owner.Exit{}
			}
			ended[id] = exit
		}
		if final || now.Sub(kept.seen) >= handleGrace {
			kept.Close()
			delete(h, id)
		}
	}
	return ended
}

func (h handles) close() {
	for id, kept := range h {
		kept.Close()
		delete(h, id)
	}
}
