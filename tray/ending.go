package tray

import (
	"cmp"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
)

// An ending is what the person did about a process.
type ending struct {
	stops, kills int           // under way
	port         uint16        // of the row that was clicked first
	held         []heldClosing // closings of its listeners meanwhile, of which it is not yet known whose doing they are
	back         notice        // what is to be told instead if it came back meanwhile
	told         bool          // that it came back, or who has its port now
	asked        time.Time     // until then a clean exit still counts as our Stop
	freed        notice        // what is to be told if the last action finds nothing left to do
	ended        time.Time     // when it was seen that the process had ended
	until        time.Time     // if it has: until then its closings belong to that
}

// A heldClosing is the closing of a server, and when that was.
type heldClosing struct {
	watcher.Event
	at     time.Time
	untold bool // that it was there
}

func (e *ending) underWay() bool { return e.stops+e.kills > 0 }

// explain takes in why a server closed.
func (e *ending) explain(event watcher.Event) {
	for i := range e.held {
		if e.held[i].ID() == event.ID() {
			e.held[i].Reason = event.Reason
		}
	}
}

// cameBack reports whether a server is back, or replaced, right after the person ended it. That is told at once, and together with
// the outcome if that is not known yet.
func (l *loop) cameBack(e watcher.Event) bool {
	const within = 5 * time.Second
	ending, ok := l.endings[e.Before.Target()]
	soon := ok && time.Now().Before(ending.ended.Add(within))
	switch {
	case !ok, !ending.underWay() && !soon:
		return false
	case ending.told: // of several ports only one
	case ending.underWay():
		ending.held = slices.DeleteFunc(ending.held, func(h heldClosing) bool { return h.ID() == e.Before.ID() })
		if ending.back == (notice{}) || e.Port == ending.port {
			ending.back = backAgain(e)
		}
	default:
		ending.told = true
		l.do.say(backAgain(e))
	}
	return true
}

// beganAnew notes that a container is there again that the person stopped: what it does now is its own doing.
func (l *loop) beganAnew(on watcher.Listener) {
	if e, ok := l.endings[on.Target()]; ok && on.Container.ID != "" && !e.underWay() {
		e.ended, e.until, e.asked = time.Time{}, time.Time{}, time.Time{}
	}
}

// wasAsked reports whether a server closed because the person ended it, or whether that remains to be seen. Then the outcome is
// told, and nothing else.
func (l *loop) wasAsked(closed watcher.Event) bool {
	e, ok := l.endings[closed.Target()]
	if !ok {
		return false
	}
	switch {
	case e.underWay():
		l.judge.forgive(closed.Listener)
		e.held = append(e.held, heldClosing{closed, time.Now(), l.judge.untold(closed.Listener)})
	case time.Now().Before(e.until), time.Now().Before(e.asked) && obeys(closed.Reason):
		l.stoppedByYou(closed.Server)
	default:
		return false
	}
	return true
}

// obeys reports whether a process ended as one does that was asked to, or made to.
func obeys(r watcher.Reason) bool {
	switch r.Exit.How {
	case owner.Exited:
		return r.Exit.Status == 0 || !r.Crashed()
	case owner.Killed:
		return r.Exit.Signal == "SIGTERM" || r.Exit.Signal == "SIGKILL"
	}
	return r.Cause == watcher.OwnerEnded || r.Cause == watcher.ContainerStopped
}

// stoppedByYou lists a server under those that closed.
func (l *loop) stoppedByYou(s watcher.Server) {
	l.judge.forgive(s.Listener)
	if s.Section == watcher.Main {
		l.model.remember(gone{time.Now(), s, "stopped by you"})
	}
}

// beginEnding notes that a process is being stopped or killed. It is false if that is under way already; only after a Stop,
// a Kill makes sense.
func (l *loop) beginEnding(listener watcher.Listener, a action) bool {
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
	e.told = false
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

// finishEnding notes the end of a Stop or Kill, and returns what to tell: nothing if another one is under way, which will tell.
func (l *loop) finishEnding(r result) notice {
	e := l.endings[r.target]
	if r.action == stop {
		e.stops--
	} else {
		e.kills--
	}
	freed := r.end.Outcome == owner.Freed || r.end.Outcome == owner.Taken
	switch {
	case r.end.Ended:
		e.ended = time.Now()
		e.until = e.ended.Add(ownGrace)
		if r.target.Container == "" { // a process never comes back, but its closing may be seen late, where scans fail
			e.until = e.ended.Add(ownMemory)
		}
	case !freed && r.end.Outcome != owner.Refused && r.end.Outcome != owner.AlreadyGone && r.end.Outcome != owner.NotPermitted:
		e.asked = time.Now().Add(actionPatience)
	}
	if e.underWay() {
		if freed {
			e.freed = r.say
		}
		return notice{}
	}
	for _, closed := range e.held {
		switch {
		case time.Now().Before(e.until), time.Now().Before(e.asked) && obeys(closed.Reason), freed && closed.Port == r.port:
			l.stoppedByYou(closed.Server)
		case closed.untold:
		default: // it ended by itself, or goes on without this port
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
	e.told = e.back != (notice{}) || r.end.Outcome == owner.Taken
	e.held, e.freed, e.back = nil, notice{}, notice{}
	return say
}
