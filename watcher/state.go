package watcher

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"porttray/watcher/owner"
)

// state is what Run remembers.
type state struct {
	gone    func(Listener) bool
	naming  naming
	dynamic func(uint16) bool // nil until it is known
	now     Snapshot          // the last good state, as it was scanned
	scanned time.Time         // when the last good scan began
	named   []Listener        // the listeners, with what is known about them
	err     error             // why there is none newer
	slow    time.Duration
	doubted map[ID]doubt

	changed        bool // since the last delivery, perhaps
	last           Update
	base           Snapshot         // what was told, without the servers whose events are still to come
	postponed      map[ID]bool      // those servers
	since          map[ID]time.Time // when what was unborn at the last delivery, or is now, was seen first
	postponedUntil time.Time        // when the first of the unborn has waited for long enough; zero if there is none
	heads          map[ID]int       // the heads of its servers, as preferences
	formed         []Server         // of named; nil if they are to be formed
	began          bool             // a good snapshot has been delivered
	delayedSince   time.Time        // since when there is an update that waits; zero if none does
	woke           time.Time        // when somebody looked again after a while in which nobody did

	silent  []Event // closings that are not told, since the last delivery
	memory  recollection
	reasons map[ID]Reason // of the closings that are not delivered yet
}

// take makes a scan's result part of the state, and reports whether the listeners are others than before.
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
	s.changed = s.memory.explain(s.better) || s.changed || !s.postponedUntil.IsZero() && !time.Now().Before(s.postponedUntil)
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

// rename brings the names in line with what is known.
func (s *state) rename() {
	s.memory.inherit(s.last.Snapshot.Listeners, s.now.Listeners)
	s.named, s.formed = withPasts(s.naming.name(s.now.Listeners, s.scanned), s.memory.pasts), nil
	s.changed = true
}

// same reports whether two lists say the same. Lists in the same memory do, without a look.
func same(a, b []Listener) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.EqualFunc(a, b, Listener.Equal))
}

// slowed notes the pause that expensive scans cost, or 0.
func (s *state) slowed(pause time.Duration) {
	s.changed = s.changed || s.slow != pause
	s.slow = pause
}

// failed notes that the state could not be read. What was doubted before is in doubt no longer: the two scans that agree must
// be neighbours.
func (s *state) failed(err error) {
	s.changed = s.changed || text(s.err) != text(err)
	s.err = err
	s.doubted, s.now.Searching = nil, false
}

// update returns what there is to deliver, and whether there is anything.
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

// servers returns the servers that the named listeners belong to.
func (s *state) servers() []Server {
	if s.formed == nil {
		s.formed = s.form(s.named)
	}
	return s.formed
}

func (s *state) form(listeners []Listener) []Server {
	servers := serversSince(listeners, s.dynamic, s.preferred(listeners))
	markRest(servers, s.memory.rest)
	return servers
}

// preferred returns how much listeners are preferred as the heads of their servers: most if they are on the head port of one that
// closed, then if they were heads before, and least if they are the rest of one that closed.
func (s *state) preferred(listeners []Listener) map[ID]int {
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
		for _, l := range onPort(listeners, c.Port) {
			if Same(c.Listener, l) {
				preferred[l.ID()] = 2
			}
		}
	}
	return preferred
}

// events returns what happened since the last delivery. The same servers closed as when it was called before, so why they did is
// looked at once only.
func (s *state) events(now Snapshot) []Event {
	events := s.postponeUnclear(Diff(s.base, now))
	reasons, gone := map[ID]Reason{}, once(s.gone)
	for i, e := range events {
		if e.Kind != Closed {
			continue
		}
		id := e.ID()
		reason, known := s.reasons[id]
		_, exit := s.now.Exits[id.owner()]
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
		rest := e.Kind == Closed && e.Rest // the end of its server was told
		if rest {
			s.silent = append(s.silent, e)
		}
		return rest
	})
	return append(s.memory.usual.moves(related, now), s.memory.late...)
}

// behindDebuggers returns the events without the openings of what has only a debugger's port yet: the server opens later. What
// waits there for long is a server by itself, and so is what other machines can reach.
func (s *state) behindDebuggers(events []Event) []Event {
	return slices.DeleteFunc(events, func(e Event) bool {
		only := e.Kind == Opened && !e.Exposed() && !slices.ContainsFunc(e.Parts, isNoInspector)
		return only && s.postpone(e.ID(), maxPostpone)
	})
}

// waits notes that the opening of a server is to come later. It is false if it has waited for long enough.
func (s *state) postpone(id ID, limit time.Duration) bool {
	since, known := s.since[id]
	if !known {
		since = time.Now()
		s.since[id] = since
	}
	due := since.Add(limit)
	if s.postponed[id] = time.Now().Before(due); s.postponed[id] && (s.postponedUntil.IsZero() || due.Before(s.postponedUntil)) {
		s.postponedUntil = due
	}
	return s.postponed[id]
}

// born returns the events without the openings of servers about which too little is known to say what they are.
func (s *state) postponeUnclear(events []Event) []Event {
	s.postponed, s.postponedUntil = map[ID]bool{}, time.Time{}
	if s.since == nil {
		s.since = map[ID]time.Time{}
	}
	return slices.DeleteFunc(events, func(e Event) bool {
		sought := !e.Owner.Known() && !e.Owner.Foreign && !e.Redirected // a socket is seen before its owner is
		unclear := sought || s.naming.pending(e.Listener) || s.naming.awaits(e.Listener)
		limit := RestartGrace
		searching := s.now.Searching || s.slow > 0 && runtime.GOOS == "linux" // elsewhere each scan tells the owners or never will
		if sought && searching {
			limit = maxPostpone
		}
		return e.Kind == Opened && unclear && s.postpone(e.ID(), limit)
	})
}

// once returns gone with each process looked at only once: it may have had thousands of listeners.
func once(gone func(Listener) bool) func(Listener) bool {
	known := map[owner.ID]bool{}
	return func(l Listener) bool {
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

// hold returns how long an update must still wait because something about its listeners is being found out.
func (s *state) delay() time.Duration {
	if s.dynamic == nil {
		return scanLimit
	}
	if !s.changed || !s.naming.busy() && !(s.now.Searching && s.err == nil) && !s.naming.premature(s.now.Listeners, s.scanned) {
		return 0
	}
	if s.delayedSince.IsZero() {
		s.delayedSince = time.Now()
	}
	return maxDelay - time.Since(s.delayedSince)
}

// delivered notes that the reader has u.
func (s *state) delivered(u Update) {
	if s.began {
		all := u
		all.Events = append(slices.Clone(u.Events), s.silent...)
		s.memory.remember(all, time.Now())
	}
	s.last, s.named, s.formed = u, u.Snapshot.Listeners, nil
	s.last.Events = nil // the reader's alone, and perhaps thousands
	s.base, s.heads = s.baseOf(u.Snapshot), make(map[ID]int, len(u.Snapshot.Servers))
	for _, on := range s.base.Servers {
		if !on.Rest {
			s.heads[on.ID()] = 1
		}
	}
	maps.DeleteFunc(s.since, func(id ID, _ time.Time) bool { return !s.postponed[id] })
	s.changed = false
	s.delayedSince = time.Time{}
	s.began = s.began || !u.Snapshot.Time.IsZero()
}

// baseOf returns the snapshot to compare the next one with.
func (s *state) baseOf(now Snapshot) Snapshot {
	if len(s.postponed) == 0 {
		return now
	}
	parts := map[ID]bool{}
	now.Servers = slices.DeleteFunc(slices.Clone(now.Servers), func(on Server) bool {
		postponed := s.postponed[on.ID()]
		for _, l := range on.Parts {
			parts[l.ID()] = parts[l.ID()] || postponed
		}
		return postponed
	})
	now.Listeners = slices.DeleteFunc(slices.Clone(now.Listeners), func(l Listener) bool { return parts[l.ID()] })
	return now
}
