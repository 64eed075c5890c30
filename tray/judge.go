package tray

import (
	"maps"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

const (
	// minLifetime is the least lifetime of an announced listener. A shorter one is nobody's server.
	minLifetime = 1500 * time.Millisecond
	// together is how long a notice waits for happenings that are nearly ripe.
	together = 2 * time.Second
	// apart is the least time between two notices.
	apart = 5 * time.Second
	// A server keeps restarting if it restarts loopCount times within loopSpan.
	loopCount = 5
	loopSpan  = time.Minute
	// A server that crashes crashCount times within crashSpan, and comes back each time, also keeps restarting. Its
	// crashes then stay silent until it has not crashed for crashSpan.
	crashCount = 3
	crashSpan  = 5 * time.Minute
	// waking is the time that servers have to come back after a sleep.
	waking = 15 * time.Second
	// loggingIn is how long other programs still start after this program started at login.
	loggingIn = time.Minute
)

// A judge decides which happenings deserve a notice, and when. It is a state machine, and its callers pass the time:
// the same calls at the same times always have the same results. The servers are those of the main list, or of the
// mode. A further port is not a server of its own.
type judge struct {
	fresh      []happening // opened or replaced, and younger than minLifetime
	shortLived []happening // closed before minLifetime; may restart
	waiting    []happening // closed; may restart
	due        []happening // decided, for the next notice
	since      time.Time   // when the first of due was decided
	news       []happening // decided since the last call of ripen
	last       time.Time   // of the last notice

	restarts   map[server.Key][]time.Time // of servers, within loopSpan
	crashes    map[server.Key][]time.Time // of servers that keep crashing
	looping    map[server.Key]bool        // announced as restarting again and again
	exposed    map[server.ID]bool         // announced as reachable from the network
	quiet      time.Time                  // no opening is announced until then
	woke       time.Time                  // when the sleep was first noticed
	wakes      time.Time                  // when the waking time ends; zero if it is over
	lostAsleep []server.Server            // closed during the sleep or the waking time

	supervisorEnded func(facts.Supervisor) bool // reports whether a supervisor has ended
	ignored         func(server.Listener) bool  // reports whether the person wants no notices of a listener
}

// A happening is one piece of news about a server.
type happening struct {
	kind   what
	at     time.Time // when it happened
	on     server.Server
	before server.Server   // for replaced: the earlier server; for moved: the owner of its usual port
	more   []server.Server // for slept: the other servers
	port   server.Listener // for exposed: the port
	reason watcher.Reason
	count  int           // for looping
	span   time.Duration // for looping: the time of count
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
		supervisorEnded: func(s facts.Supervisor) bool { return (owner.Process{PID: s.PID, Start: s.Start}).Gone() },
		ignored:         func(server.Listener) bool { return false },
		restarts:        map[server.Key][]time.Time{},
		crashes:         map[server.Key][]time.Time{},
		looping:         map[server.Key]bool{},
		exposed:         map[server.ID]bool{},
	}
}

// observe receives the events of a scan. before and after are the servers before and after them.
func (j *judge) observe(events []watcher.Event, before, after []server.Server, sleep bool, now time.Time) {
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
			j.restart(e, before, after, now)
		case watcher.Replaced:
			j.replace(e, before, now)
		case watcher.Exposed:
			j.expose(e, after, now)
		case watcher.Explained:
			j.explain(e)
		}
	}
}

// expose receives that other machines can now reach a server. It announces that once per server. For a fresh server the
// notice of its opening says it.
func (j *judge) expose(e watcher.Event, after []server.Server, now time.Time) {
	if j.exposed[e.ID()] {
		return
	}
	// An entry outlives its server if the person ended it or its owner became known. Drop those first.
	maps.DeleteFunc(j.exposed, func(id server.ID, _ bool) bool { _, there := serverOf(after, id); return !there })
	j.exposed[e.ID()] = true
	if !j.unannounced(e.Listener) {
		j.decide(happening{kind: exposed, at: now, on: e.Server, port: e.Widened()}, now)
	}
}

// awake reports whether a time is outside of the waking time.
func (j *judge) awake(at time.Time) bool { return at.Before(j.woke) || !at.Before(j.wakes) }

// close receives that a server closed at a time. That is before now if the cause had to be found out first.
func (j *judge) close(e watcher.Event, at, now time.Time) {
	delete(j.exposed, e.ID())
	switch {
	case j.forgetOpened(e.Listener): // it was never announced
		j.shortLived = append(j.shortLived, happening{at: at, on: e.Server})
	case !j.awake(now):
		j.lostAsleep = append(j.lostAsleep, e.Server)
	default:
		j.waiting = append(j.waiting, happening{kind: closed, at: at, on: e.Server, reason: e.Reason})
	}
}

// replace receives that another server took a port. It announces that once the new server has lived for minLifetime.
// Otherwise the old one has just closed.
func (j *judge) replace(e watcher.Event, before []server.Server, now time.Time) {
	delete(j.exposed, e.Before.ID())
	h := happening{kind: replaced, at: now, on: e.Server, before: e.Before, reason: e.Reason}
	if _, was := serverOf(before, e.Before.ID()); was { // else its closing came earlier
		j.close(watcher.Event{Kind: watcher.Closed, Server: e.Before, Reason: e.Reason}, now, now)
	}
	h.kind = opened // unless an earlier server is waiting
	for i := range j.waiting {
		if h.follows(j.waiting[i]) {
			h.kind, j.waiting[i].at = replaced, now
		}
	}
	j.fresh = append(j.fresh, h)
}

// follows reports whether a closing is that of the server before h.
func (h happening) follows(closing happening) bool { return closing.on.ID() == h.before.ID() }

// unannounced reports whether the opening of a listener is not announced yet.
func (j *judge) unannounced(l server.Listener) bool {
	return slices.ContainsFunc(j.fresh, func(h happening) bool { return h.isOf(l) })
}

// forgetOpened drops the unannounced opening of a listener, and reports whether there was one.
func (j *judge) forgetOpened(l server.Listener) bool {
	n := len(j.fresh)
	j.fresh = slices.DeleteFunc(j.fresh, func(h happening) bool { return h.isOf(l) })
	return len(j.fresh) < n
}

// isOf reports whether h is about that listener. Its owner may have become known since, or may be another process of
// the same server.
func (h happening) isOf(l server.Listener) bool {
	known := h.on.Owner.Known() || h.on.Redirected
	return h.on.Port == l.Port && (h.on.ID() == l.ID() || !known || h.on.Key() == l.Key())
}

// restart receives that a server restarted. A restart is silent, unless there are many. If the server was never
// announced, or the person knows of its end, it counts as opened.
func (j *judge) restart(e watcher.Event, before, after []server.Server, now time.Time) {
	delete(j.exposed, e.Before.ID())
	shortLived := slices.ContainsFunc(j.shortLived, func(h happening) bool { return h.on.ID() == e.Before.ID() })
	unknown := j.forgetOpened(e.Before.Listener) || shortLived
	if unknown || j.knownClosed(e.Before.Listener, before) {
		j.fresh = append(j.fresh, happening{kind: opened, at: now, on: e.Server})
	}
	if unknown && !e.Reason.Crashed() {
		return // tests open and close the same port many times
	}
	j.waiting = slices.DeleteFunc(j.waiting, func(h happening) bool { return h.on.ID() == e.Before.ID() })
	if e.Listener.Exposed() && !e.Before.Listener.Exposed() {
		j.expose(e, after, now)
	}
	old := func(t time.Time) bool { return now.Sub(t) >= loopSpan }
	maps.DeleteFunc(j.restarts, func(k server.Key, at []time.Time) bool {
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

// knownClosed reports whether the person knows that a listener closed: it closed earlier, and no notice of that is
// waiting.
func (j *judge) knownClosed(l server.Listener, before []server.Server) bool {
	_, there := serverOf(before, l.ID())
	slept := slices.ContainsFunc(j.lostAsleep, func(s server.Server) bool { return s.ID() == l.ID() })
	return !there && !j.closing(l) && !slept
}

func serverOf(servers []server.Server, id server.ID) (server.Server, bool) {
	i := slices.IndexFunc(servers, func(s server.Server) bool { return s.ID() == id })
	if i < 0 {
		return server.Server{}, false
	}
	return servers[i], true
}

// decide queues a happening for the menu and, unless the server keeps crashing, for a notice.
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

// crashing reports whether a server crashed too often lately for further notices.
func (j *judge) crashing(l server.Listener, now time.Time) bool {
	maps.DeleteFunc(j.crashes, func(_ server.Key, at []time.Time) bool { return now.Sub(at[len(at)-1]) >= crashSpan })
	k := l.Key()
	at := j.crashes[k]
	if len(at) > 0 && len(at) < crashCount { // only crashes within crashSpan count
		at = slices.DeleteFunc(at, func(t time.Time) bool { return now.Sub(t) >= crashSpan })
		j.crashes[k] = at
	}
	return len(at) >= crashCount
}

// ripen decides about everything that waited long enough. It returns the decisions since its last call. servers are the
// present ones.
func (j *judge) ripen(servers []server.Server, now time.Time) []happening {
	j.fresh = slices.DeleteFunc(j.fresh, func(h happening) bool {
		if now.Before(h.ripe()) {
			return false
		}
		s, ok := serverOf(servers, latestID(h.on.Listener, servers))
		if ok && j.awake(h.at) && !h.at.Before(j.quiet) && !j.returned(s.Listener) {
			h.on = s
			j.decide(j.stayed(h, servers), now)
		}
		return true
	})
	tooOld := func(h happening) bool { return now.Sub(h.at) > watcher.RestartGrace }
	j.shortLived = slices.DeleteFunc(j.shortLived, tooOld)
	j.waiting = slices.DeleteFunc(j.waiting, func(h happening) bool {
		if now.Sub(h.at) < watcher.RestartGrace {
			return false
		}
		same := func(s server.Server) bool { return s.Listener.Key() == h.on.Listener.Key() }
		if slices.ContainsFunc(servers, same) {
			return true // it is back; its owner was unknown at first
		}
		if h.reason.Supervisor != "" && j.supervisorEnded(h.on.Facts.Supervisor) {
			h.reason.Supervisor = "" // it ended just after its server
		}
		j.decide(h, now)
		return true
	})
	if !j.wakes.IsZero() && j.awake(now) {
		j.wakes = time.Time{}
		if gone := j.missing(servers); len(gone) > 0 {
			j.decide(happening{kind: slept, at: now, on: gone[0], more: gone[1:]}, now)
		}
		j.lostAsleep = nil
	}
	news := j.news
	j.news = nil
	return news
}

// ripe returns when an opening reaches minLifetime.
func (h happening) ripe() time.Time { return h.at.Add(minLifetime) }

// returned drops the closing of a server that is back, and reports whether there was one. Another server may have had
// the port for a moment.
func (j *judge) returned(l server.Listener) bool {
	n := len(j.waiting)
	j.waiting = slices.DeleteFunc(j.waiting, func(h happening) bool { return h.on.Listener.Key() == l.Key() })
	return len(j.waiting) < n
}

// stayed returns the news about a server that reached minLifetime. A replacement in the main list is announced instead
// of the closing of the earlier server. A move is announced if the usual port is still taken.
func (j *judge) stayed(h happening, servers []server.Server) happening {
	switch _, there := serverOf(servers, h.before.ID()); {
	case h.kind == replaced && h.on.Section == server.Main:
		j.waiting = slices.DeleteFunc(j.waiting, h.follows)
	case h.kind != moved || !there:
		h.kind = opened
	}
	return h
}

// next returns the next time to call ripen and tell; false if there is none.
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

// flush returns the time of the next notice: at once, but after happenings that are nearly ripe, and not too soon after
// the last notice.
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

// ripening returns the ripe times of the waiting happenings.
func (j *judge) ripening() (at []time.Time) {
	for _, h := range j.fresh {
		at = append(at, h.ripe())
	}
	for _, h := range j.waiting {
		at = append(at, h.at.Add(watcher.RestartGrace))
	}
	return at
}

// tell returns the notice of all due and wanted happenings, if there are any.
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

// closing reports whether a server has closed and may come back soon.
func (j *judge) closing(l server.Listener) bool {
	return slices.ContainsFunc(j.waiting, func(h happening) bool { return h.on.ID() == l.ID() })
}

// latestID returns the present ID of a listener. Its owner may have become known since it opened. Or the owner may have
// become a daemon, and a child continues with its socket.
func latestID(l server.Listener, servers []server.Server) server.ID {
	if _, there := serverOf(servers, l.ID()); there {
		return l.ID()
	}
	h := happening{on: server.Server{Listener: l}}
	for _, s := range servers {
		if h.isOf(s.Listener) {
			return s.ID()
		}
	}
	return l.ID()
}

func (j *judge) explain(e watcher.Event) {
	for _, h := range [][]happening{j.waiting, j.fresh} {
		for i := range h {
			if h[i].kind == closed && h[i].on.ID() == e.ID() || h[i].kind == replaced && h[i].before.ID() == e.ID() {
				h[i].reason = e.Reason
			}
		}
	}
}
