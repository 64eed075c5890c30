package tray

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
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
	// ownGrace is how long after an end that was asked for the closing of its listeners still belongs to it.
	ownGrace = 10 * time.Second
)

// A model is everything that the menu is made from.
type model struct {
	version  string
	goos     string
	snapshot watcher.Snapshot
	err      error // why the snapshot is stale; nil if it is not
}

// A loop owns the tray's state.
type loop struct {
	model  model
	drawer *drawer
	do     deeds

	updates chan watcher.Update
	hosts   chan bool     // whether there is a tray host
	opened  chan struct{} // somebody opened the menu
	done    chan result   // of actions

	batch    batch
	batchDue <-chan time.Time
	held     <-chan time.Time // until then the menu is not changed
	hostDue  <-chan time.Time
	hostTold bool
	tidyDue  <-chan time.Time
	endings  map[process]*ending // processes that the person ended
	running  int                 // actions
}

// An ending is what the person did about a process.
type ending struct {
	stops, kills int       // under way
	until        time.Time // if it has freed a port: when that is forgotten
}

func (e *ending) underWay() bool { return e.stops+e.kills > 0 }

// A process is the identity of one.
type process struct {
	pid   int32
	start uint64
}

func identity(p owner.Process) process { return process{p.PID, p.Start} }

// A result is what came of an action.
type result struct {
	action action
	say    notice  // if it is not empty
	target process // for stop and kill
	freed  bool
}

func newLoop(version, goos string) *loop {
	return &loop{
		model:   model{version: version, goos: goos},
		updates: make(chan watcher.Update),
		hosts:   make(chan bool),
		opened:  make(chan struct{}, 1),
		done:    make(chan result, actionLimit),
		endings: map[process]*ending{},
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
		case r := <-l.done:
			l.finish(r)
		case <-l.opened:
			l.held = time.After(hold)
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
			l.tidyDue = nil
			if l.held == nil {
				l.drawer.sweep(time.Now())
			}
		}
		l.redraw()
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
	if l.drawer.untidy() && l.tidyDue == nil {
		l.tidyDue = time.After(linger)
	}
}

func (l *loop) update(u watcher.Update) {
	l.model.snapshot, l.model.err = u.Snapshot, u.Err
	for _, e := range u.Events {
		if e.Kind == watcher.Closed && l.wasAsked(e.Listener) {
			continue
		}
		if l.batch.add(e); l.batchDue == nil {
			l.batchDue = time.After(gather)
		}
	}
}

// wasAsked reports whether a listener closed because the person ended its process. Then the outcome is told, and nothing else.
func (l *loop) wasAsked(closed watcher.Listener) bool {
	e, ok := l.endings[identity(closed.Owner)]
	return ok && (e.underWay() || time.Now().Before(e.until))
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
		l.do.say(notice{"porttray " + l.model.version, "Shows what listens on this computer's loopback ports. MIT licence."})
		return
	}
	listener, ok := l.model.snapshot.Find(c.id)
	switch {
	case !ok && (c.action == stop || c.action == kill):
		l.do.say(nothingHit(c.id.Port, c.who, c.action == kill))
	case !ok:
		l.do.say(notice{fmt.Sprintf("Port %d is closed", c.id.Port), "Nothing was opened or copied: " + c.who + " no longer listens there"})
	case l.running == actionLimit:
		l.do.say(notice{"Nothing was done", "Earlier actions are still running"})
	default:
		l.act(ctx, c.action, listener)
	}
}

// act starts an action. Its result arrives at l.done, which has room for all.
func (l *loop) act(ctx context.Context, a action, on watcher.Listener) {
	var do func() result
	switch a {
	case open, copyAddress:
		do = func() result { return visit(ctx, l.do, a, on) }
	case stop, kill:
		if !l.beginEnding(identity(on.Owner), a) {
			return
		}
		do = func() result {
			r := l.do.end(ctx, on, a == kill)
			return result{a, outcome(on, a == kill, r), identity(on.Owner), r.Outcome == owner.Freed || r.Outcome == owner.Taken}
		}
	}
	l.running++
	go func() { l.done <- do() }()
}

// visit opens the address of a listener, or copies it.
func visit(ctx context.Context, do deeds, a action, on watcher.Listener) result {
	url := browserURL(on, do.scheme(ctx, on))
	act, failed := do.open, "Could not open "
	if a == copyAddress {
		act, failed = do.copy, "Could not copy "
	}
	if err := act(ctx, url); err != nil {
		return result{action: a, say: notice{failed + url, owner.Printable(err.Error(), maxLine)}}
	}
	return result{action: a}
}

// finish takes in the result of an action.
func (l *loop) finish(r result) {
	l.running--
	later := r.action == stop || r.action == kill
	if later = later && l.finishEnding(r); !later && r.say != (notice{}) {
		l.do.say(r.say)
	}
}

// beginEnding notes that a process is being stopped or killed. It is false if that is under way already; only after a Stop,
// a Kill makes sense.
func (l *loop) beginEnding(p process, a action) bool {
	for p, e := range l.endings {
		if !e.underWay() && time.Now().After(e.until) {
			delete(l.endings, p)
		}
	}
	e := l.endings[p]
	if e == nil {
		e = &ending{}
		l.endings[p] = e
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

// finishEnding notes the end of a Stop or Kill, and reports whether there is another one under way that will tell the outcome.
func (l *loop) finishEnding(r result) (later bool) {
	e := l.endings[r.target]
	if r.action == stop {
		e.stops--
	} else {
		e.kills--
	}
	if r.freed {
		e.until = time.Now().Add(ownGrace)
	}
	return e.underWay()
}

// noHost returns the notice for a session in which nothing shows tray icons.
func noHost() notice {
	return notice{"porttray has no place to show its icon",
		"No panel here shows tray icons. GNOME: install the AppIndicator extension and log in again. Other panels: add their system tray or status notifier. The icon appears by itself then."}
}
