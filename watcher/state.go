package watcher

import (
	"maps"
	"slices"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// state is the state of Run.
type state struct {
	gone    func(server.Listener) bool
	naming  naming
	dynamic func(uint16) bool // nil until known
	now     Snapshot          // the last good state, as it was scanned
	scanned time.Time         // when the last good scan began
	named   []server.Listener // the listeners with all known facts
	err     error             // why there is no newer state
	slow    time.Duration
	doubted map[server.ID]doubt

	changed        bool                    // something may have changed since the last delivery
	last           Update                  // the last delivered update
	base           Snapshot                // the last delivered snapshot without the postponed servers
	postponed      map[server.ID]bool      // servers whose events are postponed
	since          map[server.ID]time.Time // when each server postponed at the last delivery, or now, was first seen
	postponedUntil time.Time               // the earliest end of a postponement; zero if there is none
	heads          map[server.ID]int       // the heads of the servers in base, as preferences
	formed         []server.Server         // servers formed from named; nil if outdated
	began          bool                    // a good snapshot has been delivered
	delayedSince   time.Time               // when the waiting update began to wait; zero if there is none
	woke           time.Time               // when scans resumed after a sleep

	silent  []Event // closings since the last delivery that get no event
	memory  recollection
	reasons map[server.ID]Reason // of closings that are not delivered yet
}

// take records a scan's result, and reports whether the listeners changed.
func (s *state) take(r result) (news bool) {
	if r.err != nil {
		s.failed(r.err)
		return false
	}
	if s.now.Time.IsZero() || s.err != nil {
		s.changed = true
	}
	before := s.now.Listeners
	early := s.naming.premature(before, s.scanned)
	s.err, s.scanned = nil, time.Now().Add(-r.took)
	s.now.Time, s.now.Source, s.now.Searching, s.now.Exits = r.Time, r.Source, r.Searching, r.Exits
	s.changed = s.memory.explain(s.better) || s.changed ||
		!s.postponedUntil.IsZero() && !time.Now().Before(s.postponedUntil)
	if len(s.doubted) == 0 && same(before, r.Listeners) {
		if early {
			s.rename()
		}
		return false
	}
	s.now.Listeners, s.doubted = confirm(before, s.doubted, r.Listeners, once(s.gone))
	news = !same(before, s.now.Listeners)
	if news || early {
		s.rename()
	}
	return news
}

// rename updates the listeners with all known facts.
func (s *state) rename() {
	s.memory.inherit(s.last.Snapshot.Listeners, s.now.Listeners)
	s.named, s.formed = withPasts(s.naming.name(s.now.Listeners, s.scanned), s.memory.pasts), nil
	s.changed = true
}

// same reports whether two lists are equal. It does not compare lists in the same memory.
func same(a, b []server.Listener) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.EqualFunc(a, b, server.Listener.Equal))
}

// slowed records the pause caused by expensive scans, or 0.
func (s *state) slowed(pause time.Duration) {
	s.changed = s.changed || s.slow != pause
	s.slow = pause
}

// failed records that the state could not be read. It clears the doubts: only consecutive scans can agree.
func (s *state) failed(err error) {
	s.changed = s.changed || text(s.err) != text(err)
	s.err = err
	s.doubted, s.now.Searching = nil, false
}

// update returns the next update, and whether there is one to deliver.
func (s *state) update() (Update, bool) {
	u := Update{Snapshot: s.now, Err: s.err, Slow: s.slow}
	u.Snapshot.Listeners, u.Snapshot.Servers = s.named, s.servers()
	if !s.began {
		return u, true
	}
	u.Slept = time.Since(s.woke) < wakeWindow
	u.Events = s.events(u.Snapshot)
	pasts, rest := pastsOf(u.Events, s.memory.pasts), restOf(u.Events, time.Now())
	if len(pasts)+len(rest) > 0 {
		u.Snapshot.Listeners = withPasts(s.named, pasts)
		u.Snapshot.Servers = s.form(u.Snapshot.Listeners)
		markRest(u.Snapshot.Servers, rest)
	}
	s.changed = len(u.Events) > 0 || u.Slow != s.last.Slow || text(u.Err) != text(s.last.Err) ||
		!same(s.last.Snapshot.Listeners, s.named)
	if !s.changed {
		s.delayedSince = time.Time{}
	}
	return u, s.changed
}

func (s *state) servers() []server.Server {
	if s.formed == nil {
		s.formed = s.form(s.named)
	}
	return s.formed
}

func (s *state) form(listeners []server.Listener) []server.Server {
	servers := server.Form(listeners, s.dynamic, s.preferred(listeners))
	markRest(servers, s.memory.rest)
	return servers
}

// preferred returns the preferences of listeners as heads: most if they are on the head port of a closed server, then
// if they were heads before, and least if they are the rest of a closed server.
func (s *state) preferred(listeners []server.Listener) map[server.ID]int {
	if len(s.memory.closings)+len(s.memory.rest) == 0 {
		return s.heads
	}
	preferred := maps.Clone(s.heads)
	for id, since := range s.memory.rest {
		if time.Since(since) <= restWait {
			preferred[id] = -1
		}
	}
	for _, c := range s.memory.closings {
		for _, l := range server.OnPort(listeners, c.Port) {
			if server.Same(c.Listener, l) {
				preferred[l.ID()] = 2
			}
		}
	}
	return preferred
}

// events returns the events since the last delivery. It finds the reason of each closing only once.
func (s *state) events(now Snapshot) []Event {
	events := s.postponeUnclear(Diff(s.base, now))
	reasons, gone := map[server.ID]Reason{}, once(s.gone)
	for i, e := range events {
		if e.Kind != Closed {
			continue
		}
		id := e.ID()
		reason, known := s.reasons[id]
		_, exit := s.now.Exits[id.Process()]
		_, end := s.naming.endings()[e.Container.ID]
		if !known || exit || end {
			reason = s.why(e.Listener, gone)
		}
		events[i].Reason, reasons[id] = reason, reason
	}
	s.reasons = reasons
	related := s.behindDebuggers(relate(events, s.memory.closings, time.Now()))
	s.silent = nil
	related = slices.DeleteFunc(related, func(e Event) bool {
		rest := e.Kind == Closed && e.Rest // its server's end was delivered before
		if rest {
			s.silent = append(s.silent, e)
		}
		return rest
	})
	return append(s.memory.usual.moves(related, now), s.memory.late...)
}

// behindDebuggers removes the openings of servers that have only a debugger's port yet, because the real server opens
// later. It keeps a server that has waited for long, or that other machines can reach.
func (s *state) behindDebuggers(events []Event) []Event {
	return slices.DeleteFunc(events, func(e Event) bool {
		return e.Kind == Opened && !e.Exposed() && e.OnlyInspects() && s.postpone(e.ID(), maxPostpone)
	})
}

// postpone postpones the opening of a server. It returns false if the server has waited long enough.
func (s *state) postpone(id server.ID, limit time.Duration) bool {
	since, known := s.since[id]
	if !known {
		since = time.Now()
		s.since[id] = since
	}
	due := since.Add(limit)
	s.postponed[id] = time.Now().Before(due)
	if s.postponed[id] && (s.postponedUntil.IsZero() || due.Before(s.postponedUntil)) {
		s.postponedUntil = due
	}
	return s.postponed[id]
}

// postponeUnclear removes the openings of servers that are not clear enough yet.
func (s *state) postponeUnclear(events []Event) []Event {
	s.postponed, s.postponedUntil = map[server.ID]bool{}, time.Time{}
	if s.since == nil {
		s.since = map[server.ID]time.Time{}
	}
	return slices.DeleteFunc(events, func(e Event) bool {
		sought := ownersComeLater(s.now.Source) && !e.Owner.Known() && !e.Owner.Foreign && !e.Redirected
		unclear := sought || s.naming.pending(e.Listener) || s.naming.awaits(e.Listener)
		limit := RestartGrace
		if sought && (s.now.Searching || s.slow > 0) {
			limit = maxPostpone
		}
		return e.Kind == Opened && unclear && s.postpone(e.ID(), limit)
	})
}

// ownersComeLater reports whether scans of a source may see a socket before its owner. gopsutil and libproc tell the owner
// together with the socket, or never.
func ownersComeLater(source string) bool { return source != "gopsutil" && source != "libproc" }

// once returns gone with one check per process, because a process may have had thousands of listeners.
func once(gone func(server.Listener) bool) func(server.Listener) bool {
	known := map[owner.ID]bool{}
	return func(l server.Listener) bool {
		ended, ok := known[l.Owner.ID()]
		if !ok {
			ended = gone(l)
			known[l.Owner.ID()] = ended
		}
		return ended
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// delay returns how long an update must still wait for facts about its listeners.
func (s *state) delay() time.Duration {
	if s.dynamic == nil {
		return scanLimit
	}
	if !s.changed || !s.naming.busy() && !(s.now.Searching && s.err == nil) &&
		!s.naming.premature(s.now.Listeners, s.scanned) {
		return 0
	}
	if s.delayedSince.IsZero() {
		s.delayedSince = time.Now()
	}
	return maxDelay - time.Since(s.delayedSince)
}

// delivered records that the reader has u.
func (s *state) delivered(u Update) {
	if s.began {
		all := u
		all.Events = append(slices.Clone(u.Events), s.silent...)
		s.memory.remember(all, time.Now())
	}
	s.last, s.named, s.formed = u, u.Snapshot.Listeners, nil
	s.last.Events = nil // they belong to the reader, and may be thousands
	s.base, s.heads = s.baseOf(u.Snapshot), make(map[server.ID]int, len(u.Snapshot.Servers))
	for _, on := range s.base.Servers {
		if !on.Rest {
			s.heads[on.ID()] = 1
		}
	}
	maps.DeleteFunc(s.since, func(id server.ID, _ time.Time) bool { return !s.postponed[id] })
	s.changed = false
	s.delayedSince = time.Time{}
	s.began = s.began || !u.Snapshot.Time.IsZero()
}

// baseOf returns the snapshot to compare the next one with.
func (s *state) baseOf(now Snapshot) Snapshot {
	if len(s.postponed) == 0 {
		return now
	}
	parts := map[server.ID]bool{}
	now.Servers = slices.DeleteFunc(slices.Clone(now.Servers), func(on server.Server) bool {
		postponed := s.postponed[on.ID()]
		for _, l := range on.Parts {
			parts[l.ID()] = parts[l.ID()] || postponed
		}
		return postponed
	})
	postponed := func(l server.Listener) bool { return parts[l.ID()] }
	now.Listeners = slices.DeleteFunc(slices.Clone(now.Listeners), postponed)
	return now
}
