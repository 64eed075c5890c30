package tray

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// A wanting is the user's taste from a time on.
type wanting struct {
	from time.Time
	taste
}

// A taste holds the user's choices and one rule of the settings.
type taste struct {
	mode                  mode
	paused                time.Time
	muted, pinned, hidden map[string]bool
	rule                  settings.Rule
}

// rules are the rules that a machine chooses from.
var rules = []settings.Rule{{}, {Project: "b", Notify: settings.NotifyNever},
	{Project: "c", Notify: settings.NotifyAlways}, {Project: "a", Show: settings.ShowNever},
	{Project: "a", Pin: true}, {Project: "f", Show: settings.ShowOther}, {Process: "e", Show: settings.ShowMain}}

func newTaste() taste {
	return taste{mode: myServers, muted: map[string]bool{}, pinned: map[string]bool{}, hidden: map[string]bool{}}
}

// toggle sets or clears a mark. It replaces the map, so copies of the taste keep the old one.
func (w *taste) toggle(marks *map[string]bool, a *actor) {
	if (*marks)[a.id()] {
		*marks = without(*marks, a)
		return
	}
	all := map[string]bool{a.id(): true}
	for k := range *marks {
		all[k] = true
	}
	*marks = all
}

func without(marks map[string]bool, a *actor) map[string]bool {
	rest := map[string]bool{}
	for k := range marks {
		if k != a.id() {
			rest[k] = true
		}
	}
	return rest
}

// ruleOf returns the rule if it matches an actor, else the zero rule.
func (w taste) ruleOf(a *actor) settings.Rule {
	if r := w.rule; r.Project != "" && string(r.Project) == a.name && a.kind == 0 ||
		r.Process != "" && string(r.Process) == a.name {
		return r
	}
	return settings.Rule{}
}

// section returns the section of the menu that should show an actor.
func (w taste) section(a *actor) server.Section {
	rule := w.ruleOf(a)
	switch {
	case w.pinned[a.id()]:
		return server.Main
	case w.hidden[a.id()], rule.Show == settings.ShowNever:
		return server.Hidden
	case rule.Show == settings.ShowOther:
		return server.Other
	case rule.Show == settings.ShowMain, rule.Pin, a.kind != 'e':
		return server.Main
	}
	return server.Other
}

// cares reports whether the user wants a notice about an actor in that section, by the rules in the README.
func (w taste) cares(a *actor, shown server.Section, interrupted bool, at time.Time) bool {
	rule, main := w.ruleOf(a), shown == server.Main
	if shown == server.Hidden {
		return false
	}
	switch {
	case w.mode == noNotices, at.Before(w.paused), rule.Notify == settings.NotifyNever, w.muted[a.id()]:
		return false
	case w.mode == allPorts, rule.Notify == settings.NotifyAlways:
		return true
	}
	return main && !interrupted && (w.mode == myServers || w.pinned[a.id()] || rule.Pin)
}

// wish changes one of the user's choices or the settings.
func (m *machine) wish(a *actor, which byte) {
	switch which % 6 {
	case 0:
		if a.run == nil || !a.run.known ||
			!slices.ContainsFunc(m.seen, func(l server.Listener) bool { return l.ID() == a.listener(0).ID() }) {
			return
		}
		m.wishes.toggle(&m.wishes.muted, a)
		m.click(click{action: mute, id: a.listener(0).ID()})
	case 1, 2:
		if a.kind == 'u' {
			return // it has no name, so it cannot be pinned or hidden
		}
		run := a.run
		if run == nil {
			a.run = &incarnation{known: true, Process: owner.Process{Name: a.name, PID: 1, Exe: "/usr/bin/" + a.name,
				Dir: "/srv/" + a.name}}
		}
		marks := mark{Key: a.listener(0).Key(), Port: a.ports[0], Name: a.name}
		a.run = run
		if which%6 == 1 {
			m.wishes.toggle(&m.wishes.pinned, a)
			m.click(click{action: pin, mark: marks})
			break
		}
		m.wishes.toggle(&m.wishes.hidden, a)
		if m.wishes.hidden[a.id()] {
			m.wishes.pinned = without(m.wishes.pinned, a)
		}
		m.click(click{action: hide, mark: marks})
	case 3:
		m.wishes.mode = modes[int(which/6)%len(modes)].mode
		m.click(click{action: setMode, mode: m.wishes.mode})
	case 4:
		if time.Now().Before(m.wishes.paused) {
			m.wishes.paused = time.Time{}
		} else {
			m.wishes.paused = time.Now().Add(pauseFor)
			m.after(pauseFor, func() { m.book.wish(m.wishes) })
		}
		m.click(click{action: pause})
	case 5:
		m.wishes.rule = rules[int(which/6)%len(rules)]
		var s settings.Settings
		if m.wishes.rule != (settings.Rule{}) {
			s.Rules = []settings.Rule{m.wishes.rule}
		}
		m.loop.changes <- settings.Change{Settings: s}
		synctest.Wait()
	}
	m.book.wish(m.wishes)
}

func (a *actor) id() string { return fmt.Sprint(a.ports[0], a.name) }
