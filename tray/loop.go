package tray

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/port"
)

const (
	// gather is how long events are collected for one notice.
	gather = 2 * time.Second
	// hold is how long the menu is left as it is after somebody opened it: most hosts close or fold it up when it changes, and
	// none tells that it was closed.
	hold = 10 * time.Second
	// hostGrace is how long a session may be without a tray host before the person is told: at login the panel may come last.
	hostGrace = 8 * time.Second
	// actionLimit is how many actions may run at once.
	actionLimit = 8
	// actionPatience is how long an action may take. All that they do is bounded, but not by this program alone.
	actionPatience = 30 * time.Second
	// ownGrace is how long after an end that was asked for the closing of its listeners still belongs to it.
	ownGrace = 10 * time.Second
)

// A model is everything that the menu is made from.
type model struct {
	version  string
	goos     string
	ports    port.System
	snapshot watcher.Snapshot
	servers  []watcher.Server // what the snapshot amounts to
	err      error            // why the snapshot is stale; nil if it is not
	slow     time.Duration    // the pause between scans, if it had to be stretched
}

// A loop owns the tray's state.
type loop struct {
	model  model
	drawer *drawer
	do     deeds

	updates chan watcher.Update
	hosts   chan bool         // whether there is a tray host
	opened  chan struct{}     // somebody opened the menu
	done    chan result       // of actions
	wake    chan struct{}     // asks the watcher to look at once
	clicked <-chan watcher.ID // a notice was clicked that offered to open this

	batch    batch
	batchDue <-chan time.Time
	held     <-chan time.Time // until then the menu is not changed
	hostDue  <-chan time.Time
	hostTold bool
	tidyDue  <-chan time.Time
	tidyAt   time.Time
	endings  map[target]*ending // what the person ended
	running  int                // actions
	actions  sync.WaitGroup     // the same, to wait for
}

// An ending is what the person did about a process.
type ending struct {
	stops, kills int             // under way
	held         []watcher.Event // closings of its listeners meanwhile, of which it is not yet known whose doing they are
	freed        notice          // what is to be told if the last action finds nothing left to do
	until        time.Time       // if the process has ended: until then its closings belong to that
}

func (e *ending) underWay() bool { return e.stops+e.kills > 0 }

// A target is what a Stop or Kill is aimed at: a process or a container.
type target struct {
	process   owner.ID
	container string
}

func targetOf(l watcher.Listener) target {
	if l.Container.ID != "" {
		return target{container: l.Container.ID}
	}
	return target{process: l.Owner.ID()}
}

// A result is what came of an action.
type result struct {
	action action
	say    notice // if it is not empty
	target target // for stop and kill
	port   uint16
	end    owner.Result
}

func newLoop(version, goos string) *loop {
	return &loop{
		model:   model{version: version, goos: goos, ports: port.Read()},
		updates: make(chan watcher.Update),
		hosts:   make(chan bool),
		opened:  make(chan struct{}, 1),
		done:    make(chan result, actionLimit),
		wake:    make(chan struct{}, 1),
		endings: map[target]*ending{},
	}
}

// run serves the tray until ctx is done or the person quits.
func (l *loop) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-l.updates:
			l.update(u)
		case c := <-l.drawer.clicks:
			if c.action == quit {
				return
			}
			l.held = nil // a click closes the menu
			l.click(ctx, c)
		case id := <-l.clicked:
			l.click(ctx, click{action: open, id: id, who: "The server"})
		case r := <-l.done:
			l.finish(r)
			l.look()
		case <-l.opened:
			l.held = time.After(hold)
			l.look()
		case <-l.held:
			l.held = nil
		case has := <-l.hosts:
			l.host(has)
		case <-l.hostDue:
			l.hostDue, l.hostTold = nil, true
			l.do.say(noHost())
		case <-l.batchDue:
			l.batchDue = nil
			if n, ok := announce(l.batch, l.model.snapshot); ok {
				l.do.say(n)
			}
			l.batch = nil
		case <-l.tidyDue:
			if l.tidyDue, l.tidyAt = nil, (time.Time{}); l.held == nil {
				l.drawer.sweep(time.Now())
			}
		}
		l.redraw()
	}
}

// look has the watcher look at once: somebody is waiting for what it finds.
func (l *loop) look() {
	select {
	case l.wake <- struct{}{}:
	default: // it has been asked
	}
}

// redraw brings the screen in line with the model, but leaves the menu alone while somebody may be looking at it.
func (l *loop) redraw() {
	v := view(l.model)
	if l.held != nil {
		l.drawer.drawFace(v)
		return
	}
	l.drawer.draw(v, time.Now())
	if due, ok := l.drawer.untidy(); ok && !due.Equal(l.tidyAt) {
		l.tidyAt, l.tidyDue = due, time.After(time.Until(due))
	}
}

func (l *loop) update(u watcher.Update) {
	l.model.snapshot, l.model.err, l.model.slow = u.Snapshot, u.Err, u.Slow
	l.model.servers = watcher.Servers(u.Snapshot.Listeners, l.model.ports.HandedOut)
	for _, e := range u.Events {
		if e.Kind != watcher.Closed || !l.wasAsked(e) {
			l.gather(e)
		}
	}
}

// gather adds an event to those that are told together.
func (l *loop) gather(e watcher.Event) {
	if l.batch.add(e); l.batchDue == nil {
		l.batchDue = time.After(gather)
	}
}

// wasAsked reports whether a listener closed because the person ended its process, or whether that remains to be seen. Then the
// outcome is told, and nothing else.
func (l *loop) wasAsked(closed watcher.Event) bool {
	e, ok := l.endings[targetOf(closed.Listener)]
	if ok && e.underWay() {
		e.held = append(e.held, closed)
		return true
	}
	return ok && time.Now().Before(e.until)
}

// host notes whether there is a tray host, and tells the person once if there is none.
func (l *loop) host(has bool) {
	switch {
	case has:
		l.hostDue = nil
		slog.Info("the icon is in the tray")
	case !l.hostTold && l.hostDue == nil:
		l.hostDue = time.After(hostGrace)
		slog.Info("waiting for a panel that shows tray icons")
	}
}

// click acts on a click. What the item was made for counts, not what is in its place by now.
func (l *loop) click(ctx context.Context, c click) {
	if c.action == about {
		l.do.say(notice{title: "porttray " + l.model.version, body: "Shows what listens on this computer's loopback ports. MIT licence."})
		return
	}
	listener, ok := l.model.snapshot.Find(c.id)
	switch {
	case !ok && (c.action == stop || c.action == kill):
		l.do.say(nothingHit(c.id.Port, c.who, c.action == kill))
	case !ok:
		l.do.say(notice{title: fmt.Sprintf("Port %d: nothing was opened or copied", c.id.Port), body: c.who + " no longer listens there"})
	case l.running == actionLimit:
		l.do.say(notice{title: "Nothing was done", body: "Earlier actions are still running"})
	default:
		l.act(ctx, c.action, listener)
	}
}

// act starts an action. Its result arrives at l.done, which has room for all.
func (l *loop) act(ctx context.Context, a action, on watcher.Listener) {
	late := result{action: a, target: targetOf(on), port: on.Port}
	late.say = notice{title: fmt.Sprintf("Port %d: no answer", on.Port), body: "What was asked for takes too long, and may or may not still happen"}
	do := func(ctx context.Context) result { return visit(ctx, l.do, a, on) }
	if a == stop || a == kill {
		if !l.beginEnding(targetOf(on), a) {
			return
		}
		others := otherPorts(l.model.snapshot, on)
		do = func(ctx context.Context) result {
			r := l.do.end(ctx, on, a == kill)
			return result{a, outcome(on, others, a == kill, r), targetOf(on), on.Port, r}
		}
	}
	l.running++
	l.actions.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, actionPatience)
		defer cancel()
		came := make(chan result, 1)
		go func() { came <- do(ctx) }()
		select {
		case r := <-came:
			l.done <- r
		case <-ctx.Done():
			l.done <- late
		}
	})
}

// otherPorts returns the other ports that the owner of a listener has, or its container.
func otherPorts(s watcher.Snapshot, on watcher.Listener) []watcher.Listener {
	return slices.DeleteFunc(slices.Clone(s.Listeners), func(l watcher.Listener) bool {
		return l.Port == on.Port || targetOf(l) != targetOf(on) || targetOf(l) == target{}
	})
}

// visit opens the address of a listener, or copies it.
func visit(ctx context.Context, do deeds, a action, on watcher.Listener) result {
	url, act, failed := browserURL(on, do.scheme(ctx, on)), do.open, "Could not open "
	switch a {
	case copyAddress:
		act, failed = do.copy, "Could not copy "
	case copyNetwork:
		act, failed = do.copy, "Could not copy "
		at, err := do.network(on)
		if err != nil {
			return result{action: a, say: notice{title: "Could not copy the network address", body: owner.Printable(err.Error(), maxLine)}}
		}
		url = urlAt(at, on.Port, do.scheme(ctx, on))
	}
	if err := act(ctx, url); err != nil {
		return result{action: a, say: notice{title: failed + url, body: owner.Printable(err.Error(), maxLine)}}
	}
	return result{action: a}
}

// finish takes in the result of an action.
func (l *loop) finish(r result) {
	l.running--
	if r.action == stop || r.action == kill {
		r.say = l.finishEnding(r)
	}
	if r.say != (notice{}) {
		l.do.say(r.say)
	}
}

// beginEnding notes that a process is being stopped or killed. It is false if that is under way already; only after a Stop,
// a Kill makes sense.
func (l *loop) beginEnding(on target, a action) bool {
	for t, e := range l.endings {
		if !e.underWay() && time.Now().After(e.until) {
			delete(l.endings, t)
		}
	}
	e := l.endings[on]
	if e == nil {
		e = &ending{}
		l.endings[on] = e
	}
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
	if freed && r.end.Ended {
		e.until = time.Now().Add(ownGrace)
	}
	if e.underWay() {
		if freed {
			e.freed = r.say
		}
		return notice{}
	}
	for _, closed := range e.held {
		if !time.Now().Before(e.until) && !(freed && closed.Listener.Port == r.port) {
			l.gather(closed) // it ended by itself, or goes on without this port
		}
	}
	say := r.say
	if r.end.Outcome == owner.AlreadyGone {
		say = cmp.Or(e.freed, r.say)
	}
	e.held, e.freed = nil, notice{}
	return say
}

// noHost returns the notice for a session in which nothing shows tray icons.
func noHost() notice {
	return notice{title: "porttray has no place to show its icon", body: "No panel here shows tray icons. GNOME: install the AppIndicator extension and log in again. Other panels: add their system tray or status notifier. The icon appears by itself then."}

}
