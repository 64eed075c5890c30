package watcher

import (
	"maps"
	"slices"
	"time"

	"porttray/watcher/server"
)

// RestartGrace is how long after a server closed another one on its port counts as its restart or replacement.
const RestartGrace = 6 * time.Second

const (
	// reasonWait is how long after a closing a late reason is still delivered.
	reasonWait = time.Minute
	// restWait is how long the further ports of a closed server count as its rest.
	restWait = 5 * time.Minute
)

// A recentClosing is the end of a server that later events may belong to.
type recentClosing struct {
	Event
	at   time.Time
	left []uint16 // its ports that have not come back, and that no other server took
}

// closingOf returns the end of the server that the event closed, restarted or replaced. Other events have none.
func closingOf(e Event, now time.Time) (recentClosing, bool) {
	switch e.Kind {
	case Restarted, Replaced:
		e = Event{Kind: Closed, Server: e.Before, Reason: e.Reason}
	case Closed:
	default:
		return recentClosing{}, false
	}
	c := recentClosing{Event: e, at: now}
	for _, l := range e.Parts {
		c.left = append(c.left, l.Port)
	}
	return c, true
}

// take reports whether a server opened on a port of the closing: a restart, or a replacement on its head port.
func (c *recentClosing) take(e Event) (Kind, bool) {
	was := c.Listener
	was.Port = e.Port
	switch {
	case !slices.Contains(c.left, e.Port):
		return 0, false
	case server.Same(was, e.Listener):
		c.left = slices.DeleteFunc(slices.Clone(c.left), func(port uint16) bool { return port == e.Port })
		return Restarted, true
	case e.Port == c.Port && server.Different(was, e.Listener):
		c.left = nil
		return Replaced, true
	}
	return 0, false
}

// relate turns the opening of a server on a recently closed port into a restart or a replacement. The closing may be
// among the events, and is then removed from them. Or it was delivered before.
func relate(events []Event, delivered []recentClosing, now time.Time) []Event {
	var all []*recentClosing // the latest last
	for _, c := range delivered {
		if now.Sub(c.at) <= RestartGrace {
			all = append(all, &c)
		}
	}
	for _, e := range events {
		if c, ok := closingOf(e, now); ok {
			all = append(all, &c)
		}
	}
	onPort := map[uint16][]*recentClosing{}
	for _, c := range all {
		for _, port := range c.left {
			if at := onPort[port]; len(at) == 0 || at[len(at)-1] != c {
				onPort[port] = append(at, c)
			}
		}
	}
	related, taken := slices.Clone(events), map[server.ID]bool{}
	for i, e := range related {
		if e.Kind != Opened {
			continue
		}
		if kind, c := takenFrom(onPort[e.Port], e); c != nil {
			related[i] = Event{Kind: kind, Server: e.Server, Before: c.Server, Reason: c.Reason}
			taken[c.ID()] = true
		}
	}
	// A closing that became part of another event is not delivered by itself.
	return slices.DeleteFunc(related, func(e Event) bool { return e.Kind == Closed && taken[e.ID()] })
}

// takenFrom returns the closing that an opened server belongs to. A restart goes before a replacement.
func takenFrom(closings []*recentClosing, e Event) (Kind, *recentClosing) {
	for _, want := range []Kind{Restarted, Replaced} {
		for _, c := range closings {
			trial := *c
			if kind, ok := trial.take(e); ok && kind == want {
				*c = trial
				return kind, c
			}
		}
	}
	return 0, nil
}

// A past is the history of a server that was seen before.
type past struct {
	restarts int
	widened  bool // other machines can reach it, and could not before
}

// pastsOf returns the pasts of listeners that follow from the events. known holds the pasts so far.
func pastsOf(events []Event, known map[server.ID]past) map[server.ID]past {
	var pasts map[server.ID]past
	for _, e := range events {
		at, p := e.Port, past{}
		switch e.Kind {
		case Closed, Explained:
			continue
		case Restarted:
			p = past{e.Before.Restarts + 1, e.Before.Widened || e.Listener.Exposed() && !e.Before.Listener.Exposed()}
		case Exposed:
			at = e.Widened().Port
			p = past{e.Widened().Restarts, true}
		}
		for _, l := range e.On(at) {
			id := l.ID()
			if _, was := known[id]; !was && p == (past{}) { // a known past belongs to another server that had this ID
				continue
			}
			if pasts == nil {
				pasts = map[server.ID]past{}
			}
			pasts[id] = p
		}
	}
	return pasts
}

// inherit copies the past of a listener to its successor with the same socket and another ID.
func (m *recollection) inherit(before, now []server.Listener) {
	if len(m.pasts) == 0 {
		return
	}
	for _, l := range now {
		if _, known := m.pasts[l.ID()]; known {
			continue
		}
		if was, ok := counterpart(l, before, now); ok && was.ID() != l.ID() {
			if p, known := m.pasts[was.ID()]; known {
				m.pasts[l.ID()] = p
			}
		}
	}
}

func withPasts(listeners []server.Listener, pasts map[server.ID]past) []server.Listener {
	if len(pasts) == 0 {
		return listeners
	}
	result := slices.Clone(listeners)
	for i, l := range result {
		if p, ok := pasts[l.ID()]; ok {
			result[i].Restarts, result[i].Widened = p.restarts, p.widened && l.Exposed()
		}
	}
	return result
}

// A recollection holds the delivered events that later ones may belong to.
type recollection struct {
	closings []recentClosing
	late     []Event                 // reasons that became known since the last delivery
	pasts    map[server.ID]past      // by listener
	rest     map[server.ID]time.Time // further ports of closed servers, with the time of the closing
	usual    usual
}

// explain looks for reasons that were unknown when the closings were delivered: a server may close its ports some time
// before it ends. It drops closings that are too old.
func (m *recollection) explain(better func(Event) (Reason, bool)) (news bool) {
	m.closings = slices.DeleteFunc(m.closings, func(c recentClosing) bool {
		wait := RestartGrace
		if c.Reason.Lacks() {
			wait = reasonWait
		}
		return time.Since(c.at) > wait
	})
	if len(m.closings) == 0 {
		m.closings = nil // there may have been thousands
	}
	for i := range m.closings {
		c := &m.closings[i]
		// If the same process came back, its later end does not explain this closing.
		back := c.Reason.Cause == OwnerGoesOn && !slices.Contains(c.left, c.Port)
		if why, ok := better(c.Event); ok && !back && !c.Rest {
			c.Reason, news = why, true
			m.late = append(m.late, Event{Kind: Explained, Server: c.Server, Reason: why})
		}
	}
	return news
}

// remember records a delivered update.
func (m *recollection) remember(u Update, now time.Time) {
	if m.late = nil; m.usual == nil {
		m.usual = usual{}
	}
	closed := map[server.ID]bool{}
	for _, e := range u.Events {
		m.usual.note(e)
		if e.Kind == Opened { // the later exit of the same process does not explain its earlier closing
			m.closings = slices.DeleteFunc(m.closings, func(c recentClosing) bool { return c.ID() == e.ID() })
		}
		c, ok := closingOf(e, now)
		if ok {
			closed[c.ID()] = true
		}
		if !ok || e.Kind != Closed && m.noteSuccessor(e) {
			continue
		}
		if e.Kind != Closed {
			c.take(e)
		}
		c.Also, c.Parts = nil, nil // there may be thousands
		m.closings = append(m.closings, c)
	}
	if rest := restOf(u.Events, now); m.rest == nil {
		m.rest = rest
	} else {
		maps.Copy(m.rest, rest)
	}
	absent := func(id server.ID) bool { return !server.HasID(server.OnPort(u.Snapshot.Listeners, id.Port), id) }
	maps.DeleteFunc(m.rest, func(id server.ID, since time.Time) bool { return now.Sub(since) > restWait || absent(id) })
	pasts := pastsOf(u.Events, m.pasts)
	maps.DeleteFunc(m.pasts, func(id server.ID, _ past) bool { return closed[id] }) // the next one is another server
	if m.pasts == nil {
		m.pasts = pasts
	} else {
		maps.Copy(m.pasts, pasts)
	}
	if len(m.pasts) > 2*len(u.Snapshot.Listeners) {
		maps.DeleteFunc(m.pasts, func(id server.ID, _ past) bool { return absent(id) })
	}
}

// noteSuccessor records the return or replacement of a server. It returns false if its closing was not delivered.
func (m *recollection) noteSuccessor(e Event) bool {
	for i := range m.closings {
		if c := &m.closings[i]; c.ID() == e.Before.ID() {
			if _, ok := c.take(e); ok {
				return true
			}
		}
	}
	return false
}

// restOf returns the further ports of servers that closed, with the time now.
func restOf(events []Event, now time.Time) map[server.ID]time.Time {
	var rest map[server.ID]time.Time
	for _, e := range events {
		c, _ := closingOf(e, now)
		for _, l := range c.Parts {
			if l.Port == c.Port {
				continue
			}
			if rest == nil {
				rest = map[server.ID]time.Time{}
			}
			rest[l.ID()] = now
		}
	}
	return rest
}

// markRest marks servers that closed their head port and kept further ports.
func markRest(servers []server.Server, rest map[server.ID]time.Time) {
	if len(rest) == 0 {
		return
	}
	for i, s := range servers {
		if since, is := rest[s.ID()]; is && time.Since(since) <= restWait {
			servers[i].Rest = true
		}
	}
}

// better returns a better reason for a closing if one became known.
func (s *state) better(c Event) (Reason, bool) {
	if r, ok := c.Reason.ContainerEnded(c.Listener, s.naming.endings()); ok {
		return r, true
	}
	return c.Reason.Explained(c.Owner, s.now.Exits)
}
