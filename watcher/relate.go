package watcher

import (
	"maps"
	"slices"
	"time"
)

// RestartGrace is how long after the closing of a listener another one on its port counts as its restart or replacement.
const RestartGrace = 6 * time.Second

// A closing is a closed event that was delivered, and when it happened.
type closing struct {
	Event
	at time.Time
}

// relate turns each listener that opened where one has just closed into a restart or a replacement of that one. What closed may
// be among the events, which then loses the closing, or have been told of before.
func relate(events []Event, told []closing, now time.Time) []Event {
	closed := map[uint16][]Event{} // the latest last
	for _, c := range told {
		if now.Sub(c.at) <= RestartGrace {
			closed[c.Listener.Port] = append(closed[c.Listener.Port], c.Event)
		}
	}
	for _, e := range events {
		if e.Kind == Closed {
			closed[e.Listener.Port] = append(closed[e.Listener.Port], e)
		}
	}
	related, before := slices.Clone(events), map[ID]bool{}
	for i, e := range related {
		if e.Kind != Opened {
			continue
		}
		here := closed[e.Listener.Port]
		at := slices.IndexFunc(here, func(c Event) bool { return Same(c.Listener, e.Listener) })
		kind := Restarted
		if at < 0 {
			at = slices.IndexFunc(here, func(c Event) bool { return differ(c.Listener, e.Listener) })
			kind = Replaced
		}
		if at >= 0 {
			related[i] = Event{Kind: kind, Listener: e.Listener, Before: here[at].Listener, Reason: here[at].Reason}
			before[here[at].Listener.ID()] = true
			closed[e.Listener.Port] = slices.Delete(here, at, at+1)
		}
	}
	// A closing that is part of another event by now is not told by itself.
	return slices.DeleteFunc(related, func(e Event) bool { return e.Kind == Closed && before[e.Listener.ID()] })
}

// A past is what was seen of a listener's server before.
type past struct {
	restarts int
	widened  bool // it came to be reachable from other machines
}

// pastsOf returns what the events say of the pasts of listeners, of some of which something is known already.
func pastsOf(events []Event, known map[ID]past) map[ID]past {
	var pasts map[ID]past
	for _, e := range events {
		id := e.Listener.ID()
		var p past
		switch _, was := known[id]; {
		case e.Kind == Restarted:
			p = past{e.Before.Restarts + 1, e.Before.Widened || e.Listener.Exposed() && !e.Before.Exposed()}
		case e.Kind == Exposed:
			p = past{e.Before.Restarts, true}
		case !was: // else it is of another server that had this name
			continue
		}
		if pasts == nil {
			pasts = map[ID]past{}
		}
		pasts[id] = p
	}
	return pasts
}

// withPasts returns the listeners with what is known of their pasts.
func withPasts(listeners []Listener, pasts map[ID]past) []Listener {
	if len(pasts) == 0 {
		return listeners
	}
	told := slices.Clone(listeners)
	for i, l := range told {
		if p, ok := pasts[l.ID()]; ok {
			told[i].Restarts, told[i].Widened = p.restarts, p.widened && l.Exposed()
		}
	}
	return told
}

// explained reports whether it became known how the owner of a listener ended, of which that was not known when the closing was
// delivered: servers may close their ports a while before they end. It forgets the closings that are too long ago for anything.
func (s *state) explained() (news bool) {
	s.closings = slices.DeleteFunc(s.closings, func(c closing) bool { return time.Since(c.at) > RestartGrace })
	if len(s.closings) == 0 {
		s.closings = nil // there may have been thousands
	}
	for i := range s.closings {
		c := &s.closings[i]
		if why, ok := c.Reason.Explained(c.Listener.Owner, s.now.Exits); ok {
			c.Reason, news = why, true
		}
	}
	return news
}

// remember notes the events that were delivered, as far as later ones may belong to them.
func (s *state) remember(u Update) {
	now, before := time.Now(), map[ID]bool{}
	for _, e := range u.Events {
		if e.Kind == Restarted || e.Kind == Replaced {
			before[e.Before.ID()] = true
		}
	}
	s.closings = slices.DeleteFunc(s.closings, func(c closing) bool { return now.Sub(c.at) > RestartGrace || before[c.Listener.ID()] })
	for _, e := range u.Events {
		if e.Kind == Closed {
			s.closings = append(s.closings, closing{e, now})
		}
	}
	if pasts := pastsOf(u.Events, s.pasts); s.pasts == nil {
		s.pasts = pasts
	} else {
		maps.Copy(s.pasts, pasts)
	}
	if len(s.pasts) > 2*len(u.Snapshot.Listeners) {
		maps.DeleteFunc(s.pasts, func(id ID, _ past) bool { return !hasID(onPort(u.Snapshot.Listeners, id.Port), id) })
	}
}
