package tray

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

const (
	// hold is how long an open menu is not redrawn after the last sign of use. Most hosts fold or close a menu that
	// changes. holdLimit is the limit for all signs together, because a host may send signs for ever.
	hold      = 2 * time.Minute
	holdLimit = 5 * hold
	// topHold and leftHold replace hold if the host does not tell when the menu closes. topHold applies until a submenu
	// opens, and leftHold after the last one closed, most often along with the menu. After that the menu may change,
	// and has the right size at the next opening.
	topHold  = 15 * time.Second
	leftHold = 3 * time.Second
	// peekPace is the pause between two checks on Windows whether the menu is open.
	peekPace = 500 * time.Millisecond
	// hostGrace is how long a session may lack a tray host before the person is told. At login the panel may start
	// last.
	hostGrace = 8 * time.Second
	// actionLimit is how many actions may run at once.
	actionLimit = 8
	// actionPatience is how long an action may take. Each action has its own limit, but depends on other programs.
	actionPatience = 30 * time.Second
	// pauseFor is how long notices are paused.
	pauseFor = time.Hour
	// clickBurst and clickPace limit the clicks on one entry: so many at once, then one per clickPace. Nobody clicks
	// faster, but a broken panel does.
	clickBurst = 10
	clickPace  = 200 * time.Millisecond
	// ownGrace is how long after our stop of a container a closing of its listeners still belongs to the stop.
	// ownMemory is the same for a process.
	ownGrace  = 10 * time.Second
	ownMemory = time.Hour
)

// A model is the data behind the menu.
type model struct {
	version  string
	goos     string
	inline   bool // submenus open within the menu
	ports    port.System
	snapshot watcher.Snapshot
	servers  []server.Server // of the snapshot, in their sections
	err      error           // why the snapshot is stale; nil if it is fresh
	slow     time.Duration   // the pause between scans, if scans are too slow for the chosen one

	latest    line // the latest event; without a label if it is long ago
	recent    [maxRecent]closedServer
	attention bool
	mode      mode
	paused    time.Time // no notices until then; zero without a pause
	muted     map[server.Key]bool
	pinned    []mark
	hidden    []mark
	ruled     map[server.Key]server.Server // pinned by rules, and seen running
	commands  map[server.Key]string        // to restart pinned servers; never saved, as they may hold secrets

	settings settings.Settings // the last valid ones of the file
	wrong    error             // the error in the file; nil if it is valid
	atLogin  bool              // the desktop starts this program at login
}

// A loop owns the tray's state.
type loop struct {
	model  model
	drawer *drawer
	do     effects

	latest       watcher.Snapshot // as the watcher delivered it, without the rules of the settings
	updates      chan watcher.Update
	changes      chan settings.Change // of the settings file
	pace         chan time.Duration   // a new interval for the watcher
	numbers      <-chan port.System   // the system's port ranges; updates wait for them. Nil once they are known.
	hosts        chan bool            // whether there is a tray host
	showRequests chan struct{}        // another instance asks this one to show itself
	signs        chan sign            // signs of use of the menu
	done         chan result          // of actions
	wake         chan struct{}        // asks the watcher to scan at once
	unkept       <-chan error         // why choices are not saved; the keeper tries again
	clicked      <-chan server.ID     // the server of a clicked notice

	judge          judge
	judgeAt        time.Time // of judgeDue
	judgeDue       <-chan time.Time
	latestDue      <-chan time.Time // ends the row of the latest event
	calmDue        <-chan time.Time // ends the alarm of the icon
	pauseDue       <-chan time.Time
	menuHold       <-chan time.Time // the menu is open and stays unchanged until then; nil if it is closed
	menuOpenedAt   time.Time        // when the menu was opened
	hostTellsClose bool             // the host tells when the menu closes
	peek           func() bool      // reports whether the menu is open; nil if the system tells that itself
	peekDue        <-chan time.Time
	hostDue        <-chan time.Time
	hasHost        bool
	hostTold       bool
	tidyDue        <-chan time.Time
	tidyAt         time.Time
	endings        map[server.Target]*ending // the person's Stops and Kills
	announced      map[server.ID]server.Key  // servers of recent notices
	running        int                       // running actions
	clicks         map[click]time.Time       // by entry: when its clicks are within clickPace again
	actions        sync.WaitGroup            // the running actions
}

type result struct {
	action action
	say    notice        // if it is not empty
	target server.Target // for stop and kill
	login  *bool         // for atLogin: the new value; nil if unchanged
	port   uint16
	end    owner.Result
}

func newLoop(version, goos string) *loop {
	l := &loop{
		model: model{version: version, goos: goos, mode: myServers, muted: map[server.Key]bool{},
			commands: map[server.Key]string{}, ruled: map[server.Key]server.Server{}},
		judge:        newJudge(),
		updates:      make(chan watcher.Update),
		changes:      make(chan settings.Change),
		pace:         make(chan time.Duration, 1),
		hosts:        make(chan bool),
		showRequests: make(chan struct{}),
		signs:        make(chan sign, 8),
		done:         make(chan result, actionLimit),
		wake:         make(chan struct{}, 1),
		endings:      map[server.Target]*ending{},
		announced:    map[server.ID]server.Key{},
		clicks:       map[click]time.Time{},
	}
	l.judge.ignored = func(on server.Listener) bool {
		return l.model.muted[on.Key()] || l.model.settings.Rule(on).Notify == settings.NotifyNever
	}
	return l
}

// run serves the tray until ctx is done or the person quits.
func (l *loop) run(ctx context.Context) {
	for l.serve(ctx) {
		l.redraw()
	}
}

// serve waits for one event and acts on it. It returns false at the last one.
func (l *loop) serve(ctx context.Context) bool {
	updates := l.updates
	if l.numbers != nil {
		updates = nil
	}
	select {
	case <-ctx.Done():
		return false
	case l.model.ports = <-l.numbers:
		l.numbers = nil
	case u := <-updates:
		l.update(u)
	case c := <-l.changes:
		l.configure(c)
	case c := <-l.drawer.clicks:
		if c.action == quit {
			return false
		}
		if !l.hostTellsClose { // a click closes the menu
			l.menuHold = nil
		} else if l.menuHold != nil {
			l.use(menuUsed, time.Now())
		}
		l.calm()
		l.click(ctx, c)
	case id := <-l.clicked:
		l.click(ctx, click{action: open, id: id, who: "The server"})
	case r := <-l.done:
		l.finish(r)
		l.scanNow()
	case s := <-l.signs:
		l.use(s, time.Now())
	case <-l.peekDue:
		l.peekDue = nil
	case <-l.menuHold:
		l.menuHold = nil
	case has := <-l.hosts:
		l.host(has)
	case err := <-l.unkept:
		l.do.say(notice{title: "Your choices are not saved", body: owner.Printable(err.Error(), maxTitle), key: "kept"})
	case <-l.showRequests:
		l.do.say(present(l.hasHost))
	case <-l.hostDue:
		l.hostDue, l.hostTold = nil, true
		l.do.say(noHost())
	case <-l.judgeDue:
		l.judgeDue, l.judgeAt = nil, time.Time{}
		l.consider()
	case <-l.latestDue:
		l.latestDue, l.model.latest = nil, line{}
	case <-l.calmDue:
		l.calm()
	case <-l.pauseDue:
		l.pauseDue, l.model.paused = nil, time.Time{}
	case <-l.tidyDue:
		if l.tidyDue, l.tidyAt = nil, (time.Time{}); l.menuHold == nil {
			l.drawer.sweep(time.Now())
		}
	}
	return true
}

// A sign is one sign of use of the menu, from the host.
type sign int

const (
	menuOpened sign = iota + 1 // opened, by a host that tells when the menu closes
	menuShown                  // opened, by another host
	menuUsed                   // a submenu was opened
	menuLeft                   // the last open submenu was closed
	menuClosed
	menuFlood // too many signs; ignore them
)

// use holds the menu still while somebody uses it. If a held menu is opened, it must have closed without a sign. Then
// use redraws it first.
func (l *loop) use(s sign, now time.Time) {
	until := hold
	switch s {
	case menuClosed:
		l.menuHold, l.hostTellsClose = nil, true
		return
	case menuFlood:
		l.menuHold = nil
		return
	case menuLeft:
		if l.hostTellsClose || l.menuHold == nil {
			return
		}
		until = leftHold
	case menuShown:
		until = topHold
		fallthrough
	case menuOpened:
		l.hostTellsClose = l.hostTellsClose || s == menuOpened
		if l.menuHold != nil {
			l.drawer.draw(view(l.model), now)
		}
		l.menuHold = nil
		l.scanNow()
	}
	l.calm()
	if l.menuHold == nil {
		l.menuOpenedAt = now
	}
	l.menuHold = time.After(min(until, l.menuOpenedAt.Add(holdLimit).Sub(now)))
}

// pollMenu checks whether the menu is open if the system does not tell. It checks again as long as the answer matters.
func (l *loop) pollMenu(now time.Time) {
	if l.peek == nil {
		return
	}
	switch open := l.peek(); {
	case open && l.menuHold == nil:
		l.calm()
		l.menuOpenedAt, l.menuHold = now, time.After(holdLimit)
	case !open && l.menuHold != nil:
		l.menuHold = nil
	}
	if l.peekDue == nil && (l.menuHold != nil || l.model.attention) {
		l.peekDue = time.After(peekPace)
	}
}

// scanNow asks the watcher for a scan at once.
func (l *loop) scanNow() {
	select {
	case l.wake <- struct{}{}:
	default: // it is already asked
	}
}

// redraw updates the screen to the model. While the menu is open, it changes only the icon.
func (l *loop) redraw() {
	l.pollMenu(time.Now())
	v := view(l.model)
	if l.menuHold != nil {
		l.drawer.drawIcon(v)
		return
	}
	l.drawer.draw(v, time.Now())
	if due, ok := l.drawer.untidy(); ok && !due.Equal(l.tidyAt) {
		l.tidyAt, l.tidyDue = due, time.After(time.Until(due))
	}
}

func (l *loop) update(u watcher.Update) {
	l.do.record(u)
	l.latest = u.Snapshot
	u.Events = slices.Clone(u.Events) // the watcher still reads the original
	u = l.model.settings.Applied(u)
	l.model.snapshot, l.model.err, l.model.slow = u.Snapshot, u.Err, u.Slow
	before := l.model.servers
	l.model.sort()
	for i, e := range u.Events {
		u.Events[i].Section, u.Events[i].Before.Section = l.model.section(e.Server), l.model.section(e.Before)
	}
	l.judge.observe(l.others(u.Events), before, l.model.servers, u.Slept, time.Now())
	l.consider()
}

// others returns the events that the person did not cause. A server that replaces an ended one counts as opened.
func (l *loop) others(events []watcher.Event) (others []watcher.Event) {
	for _, e := range events {
		own := false
		switch e.Kind {
		case watcher.Closed:
			own = l.wasAsked(e)
		case watcher.Restarted, watcher.Replaced:
			ended := watcher.Event{Kind: watcher.Closed, Server: e.Before, Reason: e.Reason}
			if own = l.cameBack(e); !own && l.wasAsked(ended) {
				e = watcher.Event{Kind: watcher.Opened, Server: e.Server}
			}
		case watcher.Explained:
			for _, ending := range l.endings {
				ending.explain(e)
			}
		}
		if e.Kind != watcher.Closed && e.Kind != watcher.Explained {
			l.beganAnew(e.Listener)
		}
		if !own {
			others = append(others, e)
		}
	}
	return others
}

// consider shows the decisions of the judge in the menu, and sends a due notice.
func (l *loop) consider() {
	now := time.Now()
	if p := l.model.paused; !p.IsZero() && !now.Round(0).Before(p) {
		l.pauseDue, l.model.paused = nil, time.Time{}
	}
	for _, h := range l.judge.ripen(l.model.servers, now) {
		if h.on.Section == server.Main {
			l.show(h)
		}
	}
	if n, ok := l.judge.tell(func(h happening) bool { return l.model.wanted(h, now) }, now); ok {
		l.do.say(n)
	}
	if at, ok := l.judge.next(); ok && !at.Equal(l.judgeAt) {
		l.judgeAt, l.judgeDue = at, time.After(time.Until(at))
	}
}

func (l *loop) show(h happening) {
	l.model.latest = line{label: latestText(h), click: click{action: showLatest, id: h.on.ID()}}
	l.latestDue = time.After(latestFor)
	l.note(h.on.Listener)
	switch h.kind {
	case closed:
		l.model.remember(closedServer{h.at, h.on, h.reason.String()})
	case replaced:
		l.model.remember(closedServer{h.at, h.before, h.reason.String()})
	case slept:
		for _, lost := range h.all() {
			l.model.remember(closedServer{h.at, lost, "gone since the computer slept"})
		}
	}
	if alarming(h) {
		l.model.attention, l.calmDue = true, time.After(attentionFor)
	}
}

// calm ends the alarm of the icon.
func (l *loop) calm() { l.model.attention, l.calmDue = false, nil }

// host records whether there is a tray host, and tells the person once if there is none.
func (l *loop) host(has bool) {
	l.hasHost = has
	switch {
	case has:
		l.hostDue = nil
		slog.Info("the icon is in the tray")
	case !l.hostTold && l.hostDue == nil:
		l.hostDue = time.After(hostGrace)
		slog.Info("waiting for a panel that shows tray icons")
	}
}

// click acts on a click. The click's own data counts, even if the menu has changed since.
func (l *loop) click(ctx context.Context, c click) {
	if l.tooFast(c, time.Now()) {
		return
	}
	if c.action == about {
		body := "Shows what listens on this computer's loopback ports. MIT licence."
		l.do.say(notice{title: "porttray " + l.model.version, body: body})
		return
	}
	switch c.action {
	case setMode:
		l.model.mode = c.mode
		l.save()
		return
	case pause:
		l.pause()
		return
	case pin, hide:
		l.mark(c)
		return
	case atLogin:
		on := !l.model.atLogin // read here, because the function below runs outside the loop
		l.visit(ctx, func(context.Context) result { return startAtLogin(l.do, on) })
		return
	case openSettings:
		l.visit(ctx, func(ctx context.Context) result { return edited(ctx, l.do) })
		return
	case copyThis:
		l.visit(ctx, func(ctx context.Context) result { return copied(ctx, l.do, c.text) })
		return
	case showLatest:
		l.model.latest, l.latestDue = line{}, nil
		if on, ok := l.find(c.id); ok && l.model.settings.Rule(on).Opens(on) {
			l.act(ctx, open, on)
		} else if ok {
			l.act(ctx, copyAddress, on)
		}
		return
	}
	listener, ok := l.model.snapshot.Find(c.id)
	switch c.action {
	case open:
		listener, ok = l.find(c.id)
	case stop, kill:
		s, head := serverOf(l.model.servers, c.id)
		// A forwarder can have another container by now, and a server another worker.
		ok = ok && head && listener.Target() == c.target && groupName(s) == c.who
	}
	switch {
	case !ok && (c.action == stop || c.action == kill):
		l.do.say(nothingHit(c.id.Port, c.who, c.action == kill))
	case !ok:
		title := fmt.Sprintf("Port %d: nothing was opened or copied", c.id.Port)
		l.do.say(notice{title: title, body: c.who + " no longer listens there"})
	case c.action == mute:
		l.mute(listener)
	case l.running == actionLimit:
		if l.tooFast(click{action: none}, time.Now()) {
			return
		}
		l.do.say(notice{title: "Nothing was done", body: "Earlier actions are still running"})
	default:
		l.act(ctx, c.action, listener)
	}
}

// tooFast reports whether an entry is clicked faster than a person can.
func (l *loop) tooFast(c click, now time.Time) bool {
	const many = 64
	if len(l.clicks) >= many {
		maps.DeleteFunc(l.clicks, func(_ click, until time.Time) bool { return until.Before(now) })
	}
	until := l.clicks[c]
	if until.Before(now) {
		until = now
	}
	if until.Sub(now) >= clickBurst*clickPace {
		return true
	}
	l.clicks[c] = until.Add(clickPace)
	return false
}

// find returns the listener with that ID. If its server restarted since a notice, find returns the new process of the
// same server on the same port.
func (l *loop) find(id server.ID) (server.Listener, bool) {
	if on, ok := l.model.snapshot.Find(id); ok {
		return on, true
	}
	was, known := l.announced[id]
	for _, s := range l.model.servers {
		if known && s.Port == id.Port && s.Listener.Key() == was {
			return s.Listener, true
		}
	}
	return server.Listener{}, false
}

// note remembers the key of a listener for later clicks on a notice.
func (l *loop) note(on server.Listener) {
	const few = 64
	if len(l.announced) >= few {
		clear(l.announced)
	}
	l.announced[on.ID()] = on.Key()
}

func (l *loop) finish(r result) {
	l.running--
	if r.action == stop || r.action == kill {
		r.say = l.finishEnding(r)
	}
	if r.login != nil {
		l.model.atLogin = *r.login
	}
	if r.say != (notice{}) {
		l.do.say(r.say)
	}
}

// noHost returns the notice for a session without a tray host.
func noHost() notice {
	return notice{title: "porttray cannot show its icon", body: "No panel here shows tray icons. " +
		"GNOME: install the AppIndicator extension and log in again. " +
		"Other panels: add their system tray or status notifier. Then the icon appears by itself."}
}
