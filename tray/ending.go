package tray

import (
	"cmp"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// An ending is the person's Stop or Kill of a process or container.
type ending struct {
	stops, kills int              // running actions
	port         uint16           // of the first clicked row
	pending      []pendingClosing // closings of its listeners during the actions; their cause is not known yet
	back         notice           // replaces the outcome if the server came back meanwhile
	reported     bool             // the person knows that it came back, or who has its port now
	asked        time.Time        // until then a clean exit still counts as our Stop
	freed        notice           // replaces the outcome if the last action finds nothing left to do
	ended        time.Time        // when the process was seen to have ended
	until        time.Time        // until then a closing belongs to that end
}

// A pendingClosing is a closing during a Stop or Kill, with its time.
type pendingClosing struct {
	watcher.Event
	at          time.Time
	unannounced bool // the person was never told of the server
}

func (e *ending) underWay() bool { return e.stops+e.kills > 0 }

func (e *ending) explain(event watcher.Event) {
	for i := range e.pending {
		if e.pending[i].ID() == event.ID() {
			e.pending[i].Reason = event.Reason
		}
	}
}

// cameBack reports whether a server is back, or replaced, right after the person ended it. It announces that at once
// or, if an action still runs, together with the outcome.
func (l *loop) cameBack(e watcher.Event) bool {
	const within = 5 * time.Second
	ending, ok := l.endings[e.Before.Target()]
	soon := ok && time.Now().Before(ending.ended.Add(within))
	switch {
	case !ok, !ending.underWay() && !soon:
		return false
	case ending.reported: // one notice is enough for several ports
	case ending.underWay():
		same := func(p pendingClosing) bool { return p.ID() == e.Before.ID() }
		ending.pending = slices.DeleteFunc(ending.pending, same)
		if ending.back == (notice{}) || e.Port == ending.port {
			ending.back = backAgain(e)
		}
	default:
		ending.reported = true
		l.do.say(backAgain(e))
	}
	return true
}

// beganAnew records that a stopped container runs again. From now on the person's Stop explains nothing.
func (l *loop) beganAnew(on server.Listener) {
	if e, ok := l.endings[on.Target()]; ok && on.Container.ID != "" && !e.underWay() {
		e.ended, e.until, e.asked = time.Time{}, time.Time{}, time.Time{}
	}
}

// wasAsked reports whether the person ended a server, or may have. Then only the outcome of that is announced.
func (l *loop) wasAsked(closed watcher.Event) bool {
	e, ok := l.endings[closed.Target()]
	if !ok {
		return false
	}
	switch {
	case e.underWay():
		l.judge.forgive(closed.Listener)
		e.pending = append(e.pending, pendingClosing{closed, time.Now(), l.judge.unannounced(closed.Listener)})
	case time.Now().Before(e.until), time.Now().Before(e.asked) && obeys(closed.Reason):
		l.stoppedByYou(closed.Server)
	default:
		return false
	}
	return true
}

// obeys reports whether a process ended the way a Stop or Kill makes it end.
func obeys(r watcher.Reason) bool {
	switch r.Exit.How {
	case owner.Exited:
		return r.Exit.Status == 0 || !r.Crashed()
	case owner.Killed:
		return r.Exit.Signal == "SIGTERM" || r.Exit.Signal == "SIGKILL"
	}
	return r.Cause == watcher.OwnerEnded || r.Cause == watcher.ContainerStopped
}

// stoppedByYou lists a server under Recently closed.
func (l *loop) stoppedByYou(s server.Server) {
	l.judge.forgive(s.Listener)
	if s.Section == server.Main {
		l.model.remember(closedServer{time.Now(), s, "stopped by you"})
	}
}

// beginEnding records the begin of a Stop or Kill. It returns false if one is already running. Only a Kill may follow a
// Stop.
func (l *loop) beginEnding(listener server.Listener, a action) bool {
	on := listener.Target()
	for t, e := range l.endings {
		if !e.underWay() && time.Now().After(e.until) && time.Now().After(e.asked) {
			delete(l.endings, t)
		}
	}
	e := l.endings[on]
	if e == nil {
		e = &ending{port: listener.Port}
		l.endings[on] = e
	}
	e.reported = false
	switch {
	case e.kills > 0, a == stop && e.stops > 0:
		return false
	case a == stop:
		e.stops++
	default:
		e.kills++
	}
	return true
}

// finishEnding records the end of a Stop or Kill, and returns the notice about it. The notice is empty if another
// action still runs, because that one will tell.
func (l *loop) finishEnding(r result) notice {
	e := l.endings[r.target]
	if r.action == stop {
		e.stops--
	} else {
		e.kills--
	}
	freed := r.end.Outcome == owner.Freed || r.end.Outcome == owner.Taken
	nothingDone := slices.Contains([]owner.Outcome{owner.Refused, owner.AlreadyGone, owner.NotPermitted}, r.end.Outcome)
	switch {
	case r.end.Ended:
		e.ended = time.Now()
		e.until = e.ended.Add(ownGrace)
		if r.target.Container == "" { // a process never comes back, but failing scans may see its closing late
			e.until = e.ended.Add(ownMemory)
		}
	case !freed && !nothingDone:
		e.asked = time.Now().Add(actionPatience)
	}
	if e.underWay() {
		if freed {
			e.freed = r.say
		}
		return notice{}
	}
	for _, closed := range e.pending {
		switch {
		case time.Now().Before(e.until), time.Now().Before(e.asked) && obeys(closed.Reason),
			freed && closed.Port == r.port:
			l.stoppedByYou(closed.Server)
		case closed.unannounced:
		default: // it ended by itself, or still runs without this port
			l.judge.close(closed.Event, closed.at, time.Now())
			l.consider()
		}
	}
	say := r.say
	switch {
	case e.back != (notice{}):
		say = e.back
	case r.end.Outcome == owner.AlreadyGone:
		say = cmp.Or(e.freed, r.say)
	}
	e.reported = e.back != (notice{}) || r.end.Outcome == owner.Taken
	e.pending, e.freed, e.back = nil, notice{}, notice{}
	return say
}
