package tray

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// A machine simulates a computer and its user. The bytes of a story drive both. It sends a loop the updates that a
// Watcher would send, and records the real events in a ledger. It has no menu, and it scans only when something
// happens. So hours take milliseconds.
type machine struct {
	t      *testing.T
	loop   *loop
	book   ledger
	actors []*actor
	wishes taste

	seen     []server.Listener // the latest list that the loop got
	closings []watcher.Event   // they may be part of a restart
	closedAt []time.Time       // when the loop was told of each of closings
	known    map[owner.ID]owner.Exit
	vague    map[owner.ID]server.Server // closed servers with an unknown exit
	blind    bool                       // scans fail
	away     bool                       // nobody reads updates: one update has several changes
	woke     time.Time
	pids     int32
	waiting  []chan owner.Result // Stop and Kill wait for an answer on these
	agenda   []errand
}

// An actor is a server that a machine starts and ends.
type actor struct {
	name  string
	ports []uint16
	kind  byte // 'c': a container, 'e': an editor's helper, 'u': its owner is found late, 0: anything else
	run   *incarnation
}

// An incarnation is one process of an actor.
type incarnation struct {
	owner.Process
	wide    bool // reachable from other machines
	known   bool // the owner is known
	exit    owner.Exit
	own     bool      // the user ended it
	vague   bool      // its exit may become known too late
	maybe   bool      // perhaps the user ended it
	asked   time.Time // until then any end may be due to the user's Stop or Kill
	clicked bool      // the user tried to end it
	open    bool      // it ends after the outcome, or there is no outcome
	hoped   time.Time // until then a clean exit may be due to the user's Stop or Kill
}

type errand struct {
	at time.Time
	do func()
}

// newMachine returns a computer with a new loop. Some of the actors run.
func newMachine(t *testing.T) *machine {
	m := &machine{t: t, loop: newLoop("v1", "linux"), wishes: newTaste()}
	m.known, m.vague = map[owner.ID]owner.Exit{}, map[owner.ID]server.Server{}
	m.actors = []*actor{
		{name: "a", ports: []uint16{3000}}, {name: "b", ports: []uint16{3000}}, {name: "c", ports: []uint16{4000}},
		{name: "d", ports: []uint16{5000}, kind: 'c'}, {name: "e", ports: []uint16{50123}, kind: 'e'},
		{name: "f", ports: []uint16{7000, 7001}}, {name: "g", ports: []uint16{8000}, kind: 'u'},
		{name: "a", ports: []uint16{3001}},
	}
	m.loop.drawer = &drawer{clicks: make(chan click)}
	m.loop.do = effects{record: func(watcher.Update) {},
		say: func(n notice) { m.book.said = append(m.book.said, told{n, time.Now()}) },
		end: func(ctx context.Context, _ server.Server, _ bool, _ time.Duration) owner.Result {
			answer := make(chan owner.Result, 1)
			m.waiting = append(m.waiting, answer) // here it is the machine that waits
			select {
			case r := <-answer:
				return r
			case <-ctx.Done():
				return owner.Result{Err: ctx.Err()}
			}
		}}
	m.book.begin(m.actors, m.wishes)
	for _, i := range []int{0, 2, 3, 5} {
		m.start(m.actors[i])
	}
	return m
}

// listeners returns all present listeners, by port.
func (m *machine) listeners() (all []server.Listener) {
	for _, a := range m.actors {
		for i := range a.ports {
			if a.run != nil {
				all = append(all, a.listener(i))
			}
		}
	}
	slices.SortFunc(all, func(a, b server.Listener) int { return int(a.Port) - int(b.Port) })
	return all
}

func (a *actor) listener(i int) server.Listener {
	l := server.Listener{Port: a.ports[i], Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	if a.run.wide {
		l.Addrs = append([]netip.Addr{netip.IPv4Unspecified()}, l.Addrs...)
	}
	if !a.run.known {
		return l
	}
	l.Owner = a.run.Process
	switch a.kind {
	case 'c':
		l.Owner.Name = "docker-proxy"
		l.Container = engine.Container{ID: "id", Name: a.name, Service: a.name, Project: "compose"}
	case 'e':
		l.Facts.App = "VS Code"
	default:
		l.Facts.Project = project.Project{Name: a.name, Dir: "/srv/" + a.name}
	}
	return l
}

func (m *machine) start(a *actor) {
	for _, b := range m.actors {
		if b.run != nil && b.ports[0] == a.ports[0] {
			return // the port is taken
		}
	}
	m.pids++
	a.run = &incarnation{known: a.kind != 'u', Process: owner.Process{PID: 5_000_000 + m.pids, Start: uint64(m.pids),
		Name: a.name, Exe: "/usr/bin/" + a.name, Dir: "/srv/" + a.name, Since: time.Now()}}
}

// end ends an actor's process. Its exit becomes known after late. If how is zero, the process only closed its ports.
func (m *machine) end(a *actor, how owner.Exit, late time.Duration) {
	run, now := a.run, time.Now()
	a.run = nil
	run.maybe = now.Before(run.asked) || now.Before(run.hoped) && (how != status(1) || a.kind == 'c')
	switch {
	case a.kind == 'c', how == (owner.Exit{}):
	case late == 0:
		run.exit, m.known[run.ID()] = how, how
	default:
		m.after(late, func() {
			m.known[run.ID()], run.exit = how, how
			run.vague = m.blind || m.away // the loop may hear of it too late
			m.look()
		})
	}
}

// after plans do for a later time.
func (m *machine) after(d time.Duration, do func()) {
	m.agenda = append(m.agenda, errand{time.Now().Add(d), do})
	slices.SortStableFunc(m.agenda, func(a, b errand) int { return a.at.Compare(b.at) })
}

// wait lets time pass and runs the planned errands.
func (m *machine) wait(d time.Duration) {
	until := time.Now().Add(d)
	for len(m.agenda) > 0 && !m.agenda[0].at.After(until) {
		next := m.agenda[0]
		m.agenda = m.agenda[1:]
		time.Sleep(time.Until(next.at))
		synctest.Wait()
		next.do()
		synctest.Wait()
	}
	time.Sleep(time.Until(until))
	synctest.Wait()
	m.armed()
}

// armed checks that the loop has a timer for the judge's next task.
func (m *machine) armed() {
	if at, ok := m.loop.judge.next(); ok && (m.loop.judgeDue == nil || m.loop.judgeAt.After(at)) {
		m.t.Fatalf("the loop has no timer for the judge's task at %v", at)
	}
	m.loop.changes <- settings.Change{Settings: m.loop.model.settings} // the loop continues after the reads above
	synctest.Wait()
}

// look sends the loop all changes since its last update.
func (m *machine) look() {
	if m.blind || m.away {
		return
	}
	now, all := time.Now(), m.listeners()
	slept := !m.woke.IsZero() && now.Sub(m.woke) < waking
	u := watcher.Update{Snapshot: lists(all...), Slept: slept}
	if len(m.book.lives) > 0 {
		unseen := func(l server.Listener) bool { return !l.Owner.Known() }
		events := watcher.Diff(lists(slices.DeleteFunc(slices.Clone(m.seen), unseen)...), u.Snapshot)
		// reported once their owners are known
		events = slices.DeleteFunc(events, func(e watcher.Event) bool { return unseen(e.Listener) })
		u.Events = append(m.relate(events), m.explained()...)
		if len(u.Events) == 0 && slices.EqualFunc(m.seen, all, server.Listener.Equal) {
			return
		}
	}
	m.book.look(now, m.actors, slept)
	m.seen = all
	m.loop.updates <- u
	synctest.Wait()
	m.armed()
	time.Sleep(time.Millisecond) // no two updates come at the same time
}

// relate joins closings and openings into restarts and replacements, as watcher.Update documents.
func (m *machine) relate(events []watcher.Event) (related []watcher.Event) {
	now := time.Now()
	var closings []watcher.Event
	var at []time.Time
	for i, c := range m.closings {
		if now.Sub(m.closedAt[i]) <= watcher.RestartGrace {
			closings, at = append(closings, c), append(at, m.closedAt[i])
		}
	}
	for _, e := range events {
		if e.Kind == watcher.Closed {
			e.Reason = m.reason(e.Listener)
			if e.Reason.Lacks() && e.Owner.Known() {
				m.vague[e.Owner.ID()] = e.Server
			}
			closings, at = append(closings, e), append(at, now)
		}
	}
	own := len(closings)
	taken := make([]bool, own)
	for _, e := range events {
		same := func(c watcher.Event) bool { return c.Listener.Key() == e.Listener.Key() }
		for _, kind := range []watcher.Kind{watcher.Restarted, watcher.Replaced} {
			i := slices.IndexFunc(closings, func(c watcher.Event) bool {
				return c.Listener.Port == e.Listener.Port && c.Listener.Owner.Known() && e.Listener.Owner.Known() &&
					same(c) == (kind == watcher.Restarted)
			})
			if e.Kind == watcher.Opened && i >= 0 && !taken[i] {
				taken[i] = true
				e.Kind, e.Before, e.Reason = kind, closings[i].Server, closings[i].Reason
			}
		}
		if e.Kind != watcher.Closed {
			related = append(related, e)
		}
	}
	m.closings, m.closedAt = nil, nil
	var alone []watcher.Event
	for i, c := range closings {
		if taken[i] {
			continue
		}
		m.closings, m.closedAt = append(m.closings, c), append(m.closedAt, at[i])
		if at[i].Equal(now) && slices.ContainsFunc(events,
			func(e watcher.Event) bool { return e.Kind == watcher.Closed && e.Listener.ID() == c.Listener.ID() }) {
			alone = append(alone, c)
		}
	}
	return append(alone, related...)
}

// explained returns an event for each closed server with a newly known exit.
func (m *machine) explained() (events []watcher.Event) {
	for id, s := range m.vague {
		if _, known := m.known[id]; known {
			events = append(events, watcher.Event{Kind: watcher.Explained, Server: s, Reason: m.reason(s.Listener)})
			delete(m.vague, id)
		}
	}
	return events
}

// reason returns why a listener closed, as far as known now.
func (m *machine) reason(l server.Listener) watcher.Reason {
	exit, ok := m.known[l.Owner.ID()]
	switch {
	case l.Container.ID != "":
		return watcher.Reason{Cause: watcher.ContainerStopped}
	case !l.Owner.Known():
		return watcher.Reason{}
	case ok:
		return watcher.Reason{Cause: watcher.OwnerEnded, Exit: exit}
	}
	return watcher.Reason{Cause: watcher.OwnerGoesOn}
}

// click sends a click of the user.
func (m *machine) click(c click) {
	m.loop.drawer.clicks <- c
	synctest.Wait()
}

// ways are the exits of processes. The zero Exit stands for a process that only closes its ports.
var ways = []owner.Exit{status(0), status(1), signal("SIGINT"), signal("SIGKILL"), signal("SIGTERM"), {}, status(1),
	status(130)}

// stop makes the user click Stop or Kill in the row of an actor. The system answers in one of several ways.
func (m *machine) stop(a *actor, way byte) {
	i := slices.IndexFunc(m.seen, func(l server.Listener) bool { return l.Port == a.ports[0] })
	if i < 0 || a.run == nil || !a.run.known || m.seen[i].Owner.ID() != a.run.ID() {
		return // the menu has no such row, or an outdated one
	}
	act, by := stop, signal("SIGTERM")
	if way&8 != 0 {
		act, by = kill, signal("SIGKILL")
	}
	before := len(m.waiting)
	run, on := a.run, m.seen[i]
	m.click(click{action: act, id: on.ID(), target: on.Target(), who: "it"})
	if len(m.waiting) == before {
		return // an earlier click is still in progress
	}
	answer := m.waiting[before]
	run.clicked = true
	freed := owner.Result{Outcome: owner.Freed, Ended: true}
	says := func(r owner.Result) func() {
		return func() {
			if a.run != run && r.Outcome == owner.StillRunning {
				r = freed
			}
			answer <- r
		}
	}
	dies := func(how owner.Exit, own, look bool) func() {
		return func() {
			if a.run != run {
				return
			}
			m.end(a, how, 0)
			run.own = own
			if look {
				m.look()
			}
		}
	}
	const ms = time.Millisecond
	doubt := func(any, good time.Duration) { run.asked, run.hoped = time.Now().Add(any), time.Now().Add(good) }
	switch way & 7 {
	case 0:
		doubt(200*ms, 0)
		m.after(50*ms, dies(by, true, true))
		m.after(100*ms, says(freed))
	case 1: // the loop hears of the closing after the outcome
		doubt(200*ms, 0)
		m.after(50*ms, dies(by, true, false))
		m.after(100*ms, says(freed))
		m.after(200*ms, m.look)
	case 2: // it ends after the outcome
		run.open = true
		doubt(5000*ms, 35000*ms)
		m.after(5000*ms, says(owner.Result{Outcome: owner.StillRunning}))
		m.after(7000*ms, dies(by, true, true))
	case 3: // it ignores the signal
		doubt(5000*ms, 35000*ms)
		m.after(5000*ms, says(owner.Result{Outcome: owner.StillRunning}))
	case 4:
		m.after(20*ms, says(owner.Result{Outcome: owner.Refused, Reason: "it is part of the system"}))
	case 5:
		m.after(20*ms, says(owner.Result{Outcome: owner.NotPermitted, Err: errors.New("not permitted")}))
	case 6: // it ends by itself right before the signal
		m.after(10*ms, dies(status(1), false, true))
		m.after(20*ms, says(owner.Result{Outcome: owner.AlreadyGone}))
	case 7: // there is no answer
		run.open = true
		doubt(actionPatience, 2*actionPatience)
		m.after(50*ms, dies(by, true, true))
	}
}
