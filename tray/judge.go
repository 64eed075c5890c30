package tray

import (
	"maps"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
)

const (
	// settled is how long a listener must have been there before it is told of: what lives shorter is nobody's server.
	settled = 1500 * time.Millisecond
	// together is how long a notice waits for others that are about to be due.
	together = 2 * time.Second
	// apart is the least time between two notices.
	apart = 5 * time.Second
	// A server that restarts so often within loopSpan keeps restarting.
	loopCount = 5
	loopSpan  = time.Minute
	// A server that crashes so often within crashSpan, and comes back each time, keeps restarting as well; then nothing more of
	// that is told until it has not crashed for as long.
	crashCount = 3
	crashSpan  = 5 * time.Minute
	// waking is how long after a sleep the computer is left to come to itself.
	waking = 15 * time.Second
	// loggingIn is how long after a start with the desktop session other programs of the session still come up.
	loggingIn = time.Minute
)

// A judge decides which of the things that happen to servers deserve a notice, and when. It is a state machine on a clock that its
// callers bring: the same calls at the same times always have the same results. Servers are those of the main list, or of whatever
// the mode says; a further port of a server is none of its own.
type judge struct {
	fresh   []happening // opened or replaced, and not there for long enough
	fled    []happening // those of them that closed before they were, and may restart
	waiting []happening // closed, and possibly restarting
	due     []happening // decided, to be told with the next notice
	since   time.Time   // when the first of those was decided
	news    []happening // decided since ripen was called last
	last    time.Time   // when the last notice was given

	restarts map[watcher.Key][]time.Time // of servers, within loopSpan
	crashes  map[watcher.Key][]time.Time // of servers, since they have been crashing
	looping  map[watcher.Key]bool        // those of which it was told that they keep restarting
	exposed  map[watcher.ID]bool         // those of which it was told that they can be reached from the network
	quiet    time.Time                   // until then nothing that comes up is told
	woke     time.Time                   // when it was first seen that the computer had slept
	wakes    time.Time                   // when the time after that is over; zero if it is
	lost     []watcher.Server            // what closed during the sleep and that time

	// gone tells whether a supervisor has ended, and ignored whether the person does not want to hear of a listener.
	gone    func(owner.Supervisor) bool
	ignored func(watcher.Listener) bool
}

// A happening is what is to be told about one server.
type happening struct {
	kind   what
	at     time.Time // when it happened
	on     watcher.Server
	before watcher.Server   // for replaced: what was there; for moved: what holds its usual port
	more   []watcher.Server // for slept: the other servers
	port   watcher.Listener // for exposed: the port
	reason watcher.Reason
	count  int           // for looping
	span   time.Duration // within which it did so
}

type what int

const (
	opened what = iota
	closed
	replaced
	exposed
	looping
	moved
	slept
)

func newJudge() judge {
	return judge{
		gone:     func(s owner.Supervisor) bool { return (owner.Process{PID: s.PID, Start: s.Start}).Gone() },
		ignored:  func(watcher.Listener) bool { return false },
		restarts: map[watcher.Key][]time.Time{}, crashes: map[watcher.Key][]time.Time{}, looping: map[watcher.Key]bool{}, exposed: map[watcher.ID]bool{},
	}
}

// observe takes in what happened. Before and after are the servers as they were and as they are, and now is the time.
func (j *judge) observe(events []watcher.Event, before, after []watcher.Server, sleep bool, now time.Time) {
	if sleep {
		if j.wakes.IsZero() {
			j.woke = now
		}
		j.wakes = now.Add(waking)
	}
	for _, e := range events {
		switch e.Kind {
		case watcher.Opened:
			j.fresh = append(j.fresh, happening{kind: opened, at: now, on: e.Server})
		case watcher.Moved:
			j.fresh = append(j.fresh, happening{kind: moved, at: now, on: e.Server, before: e.Before})
		case watcher.Closed:
			j.close(e, now, now)
		case watcher.Restarted:
			j.back(e, before, after, now)
		case watcher.Replaced:
			j.replace(e, before, now)
		case watcher.Exposed:
			j.expose(e, after, now)
		case watcher.Explained:
			j.explain(e)
		}
	}
}

// expose takes in that a server came within reach of other machines. Of each that is told once; of what is not known yet it is
// said when it is told that it is up.
func (j *judge) expose(e watcher.Event, after []watcher.Server, now time.Time) {
	if j.exposed[e.ID()] {
		return
	}
	// An entry outlives its server when the person ended it or its owner became known. Those are dropped first.
	maps.DeleteFunc(j.exposed, func(id watcher.ID, _ bool) bool { _, there := serverOf(after, id); return !there })
	j.exposed[e.ID()] = true
	if !j.untold(e.Listener) {
		j.decide(happening{kind: exposed, at: now, on: e.Server, port: e.Widened()}, now)
	}
}

// awake reports whether something happened at no time after a sleep, or whether that is over.
func (j *judge) awake(at time.Time) bool { return at.Before(j.woke) || !at.Before(j.wakes) }

// close takes in that a server closed; at is when, which is before now if it was not known until now whose doing it was.
func (j *judge) close(e watcher.Event, at, now time.Time) {
	delete(j.exposed, e.ID())
	switch {
	case j.settle(e.Listener): // it was never told of
		j.fled = append(j.fled, happening{at: at, on: e.Server})
	case !j.awake(now):
		j.lost = append(j.lost, e.Server)
	default:
		j.waiting = append(j.waiting, happening{kind: closed, at: at, on: e.Server, reason: e.Reason})
	}
}

// replace takes in that another server has the port of one. That is told once the other one has settled; if it does not, what was
// there before has just closed.
func (j *judge) replace(e watcher.Event, before []watcher.Server, now time.Time) {
	delete(j.exposed, e.Before.ID())
	h := happening{kind: replaced, at: now, on: e.Server, before: e.Before, reason: e.Reason}
	if _, was := serverOf(before, e.Before.ID()); was { // else its closing came before
		j.close(watcher.Event{Kind: watcher.Closed, Server: e.Before, Reason: e.Reason}, now, now)
	}
	h.kind = opened // unless what was there was known as a server
	for i := range j.waiting {
		if h.follows(j.waiting[i]) {
			h.kind, j.waiting[i].at = replaced, now
		}
	}
	j.fresh = append(j.fresh, h)
}

// follows reports whether a closing is that of what was there before h.
func (h happening) follows(closing happening) bool { return closing.on.ID() == h.before.ID() }

// untold reports whether it has not been told yet that a listener opened.
func (j *judge) untold(l watcher.Listener) bool {
	return slices.ContainsFunc(j.fresh, func(h happening) bool { return h.isOf(l) })
}

// settle forgets that a listener opened, if that was not told yet, and reports whether it was so.
func (j *judge) settle(l watcher.Listener) bool {
	n := len(j.fresh)
	j.fresh = slices.DeleteFunc(j.fresh, func(h happening) bool { return h.isOf(l) })
	return len(j.fresh) < n
}

// isOf reports whether what opened is that listener. Its owner may have become known since, or be another process of its server.
func (h happening) isOf(l watcher.Listener) bool {
	known := h.on.Owner.Known() || h.on.Redirected
	return h.on.Port == l.Port && (h.on.ID() == l.ID() || !known || h.on.Key() == l.Key())
}

// back takes in that a server restarted: that is silent, unless it goes on like that. One that was never told of has just opened,
// and so has one of which the person knows that it ended.
func (j *judge) back(e watcher.Event, before, after []watcher.Server, now time.Time) {
	delete(j.exposed, e.Before.ID())
	fled := slices.ContainsFunc(j.fled, func(h happening) bool { return h.on.ID() == e.Before.ID() })
	unknown := j.settle(e.Before.Listener) || fled
	if unknown || j.toldGone(e.Before.Listener, before) {
		j.fresh = append(j.fresh, happening{kind: opened, at: now, on: e.Server})
	}
	if unknown && !e.Reason.Crashed() {
		return // tests open and close one port again and again
	}
	j.waiting = slices.DeleteFunc(j.waiting, func(h happening) bool { return h.on.ID() == e.Before.ID() })
	if e.Listener.Exposed() && !e.Before.Listener.Exposed() {
		j.expose(e, after, now)
	}
	old := func(t time.Time) bool { return now.Sub(t) >= loopSpan }
	maps.DeleteFunc(j.restarts, func(k watcher.Key, at []time.Time) bool {
		if ended := old(at[len(at)-1]); ended {
			delete(j.looping, k)
			return true
		}
		return false
	})
	k := e.Listener.Key()
	j.restarts[k] = append(slices.DeleteFunc(j.restarts[k], old), now)
	if n := len(j.restarts[k]); n >= loopCount && !j.looping[k] {
		j.looping[k] = true
		j.decide(happening{kind: looping, at: now, on: e.Server, reason: e.Reason, count: n, span: loopSpan}, now)
	}
}

// toldGone reports whether a listener closed before, and nothing waits for that any more: the person was told, or ended it.
func (j *judge) toldGone(l watcher.Listener, before []watcher.Server) bool {
	_, there := serverOf(before, l.ID())
	slept := slices.ContainsFunc(j.lost, func(s watcher.Server) bool { return s.ID() == l.ID() })
	return !there && !j.closing(l) && !slept
}

// serverOf returns the server that is known by that listener.
func serverOf(servers []watcher.Server, id watcher.ID) (watcher.Server, bool) {
	i := slices.IndexFunc(servers, func(s watcher.Server) bool { return s.ID() == id })
	if i < 0 {
		return watcher.Server{}, false
	}
	return servers[i], true
}

// decide notes that something is to be told, in the menu and, unless enough was said of it, with a notice.
func (j *judge) decide(h happening, now time.Time) {
	j.news = append(j.news, h)
	if h.kind == opened && j.crashing(h.on.Listener, now) {
		return
	}
	if h.kind == closed && h.reason.Crashed() {
		k := h.on.Listener.Key()
		known := j.crashing(h.on.Listener, now)
		j.crashes[k] = append(j.crashes[k], now)
		if known {
			return
		}
		if n := len(j.crashes[k]); n >= crashCount {
			h.kind, h.count, h.span = looping, n, crashSpan
		}
	}
	if len(j.due) == 0 {
		j.since = now
	}
	j.due = append(j.due, h)
}

// crashing reports whether a server has crashed so often lately that nothing more is told of it.
func (j *judge) crashing(l watcher.Listener, now time.Time) bool {
	maps.DeleteFunc(j.crashes, func(_ watcher.Key, at []time.Time) bool { return now.Sub(at[len(at)-1]) >= crashSpan })
	k := l.Key()
	at := j.crashes[k]
	if len(at) > 0 && len(at) < crashCount { // only those that are near each other count
		at = slices.DeleteFunc(at, func(t time.Time) bool { return now.Sub(t) >= crashSpan })
		j.crashes[k] = at
	}
	return len(at) >= crashCount
}

// ripen decides about what has waited for long enough, and returns what was decided since it was called last. The servers are
// those that are there.
func (j *judge) ripen(servers []watcher.Server, now time.Time) []happening {
	j.fresh = slices.DeleteFunc(j.fresh, func(h happening) bool {
		if now.Before(h.ripe()) {
			return false
		}
		if s, ok := serverOf(servers, latestID(h.on.Listener, servers)); ok && j.awake(h.at) && !h.at.Before(j.quiet) && !j.returned(s.Listener) {
			h.on = s
			j.decide(j.stayed(h, servers), now)
		}
		return true
	})
	j.fled = slices.DeleteFunc(j.fled, func(h happening) bool { return now.Sub(h.at) > watcher.RestartGrace })
	j.waiting = slices.DeleteFunc(j.waiting, func(h happening) bool {
		if now.Sub(h.at) < watcher.RestartGrace {
			return false
		}
		if slices.ContainsFunc(servers, func(s watcher.Server) bool { return s.Listener.Key() == h.on.Listener.Key() }) {
			return true // it is back; whose it is was not known when it came
		}
		if h.reason.Supervisor != "" && j.gone(h.on.Facts.Supervisor) { // it may have ended just after what it watched
			h.reason.Supervisor = ""
		}
		j.decide(h, now)
		return true
	})
	if !j.wakes.IsZero() && j.awake(now) {
		j.wakes = time.Time{}
		if gone := j.missing(servers); len(gone) > 0 {
			j.decide(happening{kind: slept, at: now, on: gone[0], more: gone[1:]}, now)
		}
		j.lost = nil
	}
	news := j.news
	j.news = nil
	return news
}

// ripe returns when something that opened has been there for long enough.
func (h happening) ripe() time.Time { return h.at.Add(settled) }

// returned forgets that a server closed which is there again, and reports whether it had: another one may have had the port for a
// moment in between.
func (j *judge) returned(l watcher.Listener) bool {
	n := len(j.waiting)
	j.waiting = slices.DeleteFunc(j.waiting, func(h happening) bool { return h.on.Listener.Key() == l.Key() })
	return len(j.waiting) < n
}

// stayed returns what is to be told of a server that stays. That it has replaced another one is told instead of the end of that
// one, unless it is one that the person does not care for. That it has moved is told if its usual port is still taken.
func (j *judge) stayed(h happening, servers []watcher.Server) happening {
	switch _, there := serverOf(servers, h.before.ID()); {
	case h.kind == replaced && h.on.Section == watcher.Main:
		j.waiting = slices.DeleteFunc(j.waiting, h.follows)
	case h.kind != moved || !there:
		h.kind = opened
	}
	return h
}

// next returns when ripen and tell have something to do; false if they have nothing.
func (j *judge) next() (at time.Time, ok bool) {
	earliest := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	for _, ripe := range j.ripening() {
		earliest(ripe)
	}
	if !j.wakes.IsZero() {
		earliest(j.wakes)
	}
	if len(j.due) > 0 {
		earliest(j.flush())
	}
	return at, ok
}

// flush returns when to give a notice of what is due: at once, but for what is about to be due as well, and not too soon after the
// last one.
func (j *judge) flush() time.Time {
	at := j.since
	late := j.since.Add(together)
	for _, ripe := range j.ripening() {
		if !ripe.After(late) && ripe.After(at) {
			at = ripe
		}
	}
	if next := j.last.Add(apart); !j.last.IsZero() && next.After(at) {
		return next
	}
	return at
}

// ripening returns when each of the things that wait will be decided.
func (j *judge) ripening() (at []time.Time) {
	for _, h := range j.fresh {
		at = append(at, h.ripe())
	}
	for _, h := range j.waiting {
		at = append(at, h.at.Add(watcher.RestartGrace))
	}
	return at
}

// tell returns the notice of what is due now and wanted, if there is any.
func (j *judge) tell(wanted func(happening) bool, now time.Time) (notice, bool) {
	if len(j.due) == 0 || now.Before(j.flush()) {
		return notice{}, false
	}
	var told []happening
	for _, h := range j.due {
		if h, ok := h.only(wanted); ok && !((h.kind == opened || h.kind == moved) && j.closing(h.on.Listener)) {
			told = append(told, h)
		}
	}
	j.due = nil
	if len(told) == 0 {
		return notice{}, false
	}
	j.last = now
	return announce(told), true
}

// closing reports whether a server has closed since, and may be back soon.
func (j *judge) closing(l watcher.Listener) bool {
	return slices.ContainsFunc(j.waiting, func(h happening) bool { return h.on.ID() == l.ID() })
}

// latestID returns the name under which a listener is a server now. Its owner may have become known since it opened, or have
// become a daemon: then a child goes on with its socket.
func latestID(l watcher.Listener, servers []watcher.Server) watcher.ID {
	if _, there := serverOf(servers, l.ID()); there {
		return l.ID()
	}
	h := happening{on: watcher.Server{Listener: l}}
	for _, s := range servers {
		if h.isOf(s.Listener) {
			return s.ID()
		}
	}
	return l.ID()
}

// explain takes in why a server closed that had closed before.
func (j *judge) explain(e watcher.Event) {
	for _, h := range [][]happening{j.waiting, j.fresh} {
		for i := range h {
			if h[i].kind == closed && h[i].on.ID() == e.ID() || h[i].kind == replaced && h[i].before.ID() == e.ID() {
				h[i].reason = e.Reason
			}
		}
	}
}
