package watcher

import (
	"maps"
	"time"

	"porttray/watcher/owner"
)

const (
	exitMemory = time.Minute // how long the end of an owner is remembered
	maxExits   = 256         // for at most this many owners
)

// exits remembers for exitMemory how owners ended. The zero value is empty.
type exits struct {
	known map[owner.ID]owner.Exit // a new map after each change
	noted []noted                 // the same owners, the earliest first
}

type noted struct {
	owner.ID
	at time.Time
}

// add records how owners ended, and drops old entries. It costs nothing if there is nothing to do.
func (e *exits) add(ended map[owner.ID]owner.Exit, now time.Time) {
	if len(ended) == 0 && (len(e.noted) == 0 || now.Sub(e.noted[0].at) < exitMemory) {
		return
	}
	known := make(map[owner.ID]owner.Exit, len(e.known)+len(ended))
	maps.Copy(known, e.known)
	for id, exit := range ended {
		if _, again := known[id]; !again {
			e.noted = append(e.noted, noted{id, now})
		}
		known[id] = exit
	}
	for len(e.noted) > 0 && (len(e.noted) > maxExits || now.Sub(e.noted[0].at) >= exitMemory) {
		delete(known, e.noted[0].ID)
		e.noted = e.noted[1:]
	}
	if e.known = known; len(known) == 0 {
		e.known = nil
	}
}
