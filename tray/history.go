package tray

import (
	"fmt"
	"time"

	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/owner"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

const (
	// latestFor is how long the latest event is the first row of the menu.
	latestFor = time.Minute
	// attentionFor is how long the icon asks for attention if nobody opens the menu.
	attentionFor = 10 * time.Minute
)

// A closedServer is a closed server.
type closedServer struct {
	at     time.Time
	was    server.Server
	reason string
}

// latestText returns the line about the latest event. It contains a time of day rather than an age, so it never
// changes.
func latestText(h happening) string {
	l := h.on.Listener
	text := ""
	switch h.kind {
	case opened:
		text = headline(h.on) + " is up"
	case closed:
		text = subject(h.on) + " stopped"
		if h.reason.Crashed() {
			text = subject(h.on) + " crashed"
		}
		if why := h.reason.String(); why != "" {
			text += ": " + why
		}
	case replaced:
		text = fmt.Sprintf("%d is now %s (was %s)", l.Port, subject(h.on), subject(h.before))
	case exposed:
		text = subject(h.on) + " is reachable from the network"
	case looping:
		text = subject(h.on) + " keeps restarting"
	case moved:
		text = fmt.Sprintf("%s is on %d: %d is taken", subject(h.on), l.Port, h.before.Port)
	case slept:
		text = fmt.Sprintf("%d servers are gone since the computer slept", len(h.all()))
	}
	return at(h.at, text)
}

// at returns a label with the time of an event.
func at(t time.Time, text string) string {
	const clock = "15:04  "
	return t.Format(clock) + owner.Printable(text, maxLabel-len(clock))
}

// alarming reports whether the icon should ask for attention.
func alarming(h happening) bool {
	switch h.kind {
	case closed:
		return !h.reason.Interrupted()
	case replaced, exposed, looping, slept:
		return true
	}
	return false
}

// viewRecents returns the submenu of the recently closed servers.
func viewRecents(m model) line {
	recents := line{kind: branch}
	for _, g := range m.recent {
		if g.at.IsZero() {
			break
		}
		why := ""
		if g.reason != "" {
			why = ", " + g.reason
		}
		address := browser.Address(g.was.Listener)
		if m.settings.Rule(g.was.Listener).Opens(g.was.Listener) {
			address = "http://" + address
		}
		recents.label = "Recently closed"
		label, command := at(g.at, fmt.Sprintf("%s :%d%s", subject(g.was), g.was.Port, why)), g.was.Facts.Command
		row := line{kind: branch, key: rowKey{shape: "recent"}, label: label, below: []line{
			{label: "Copy restart command", grey: command == "", click: click{action: copyThis, text: command}},
			{label: "Copy address", click: click{action: copyThis, text: address}},
		}}
		recents.below = append(recents.below, row)
	}
	return recents
}

// remember puts a closed server before the earlier ones.
func (m *model) remember(g closedServer) {
	copy(m.recent[1:], m.recent[:len(m.recent)-1])
	m.recent[0] = g
}

// A mode is the choice of events for notices.
type mode string

// The modes, in the order of the menu.
const (
	allPorts   mode = "all"
	myServers  mode = "mine"
	pinnedOnly mode = "pinned"
	noNotices  mode = "off"
)

var modes = []struct {
	mode  mode
	label string
}{{allPorts, "All ports"}, {myServers, "My servers"}, {pinnedOnly, "Pinned only"}, {noNotices, "Off"}}

// viewNotifications returns the submenu for the choice of notices.
func viewNotifications(m model) line {
	menu := line{kind: branch, label: "Notifications"}
	for _, choice := range modes {
		menu.below = append(menu.below, line{kind: radio, label: choice.label, checked: choice.mode == m.mode,
			click: click{action: setMode, mode: choice.mode}})
	}
	pausing := "Pause for an hour"
	if !m.paused.IsZero() {
		pausing = "Resume (paused until " + m.paused.Format("15:04") + ")"
	}
	menu.below = append(menu.below, line{kind: separator}, line{label: pausing, click: click{action: pause}})
	return menu
}

// wanted reports whether the person wants a notice of a happening.
func (m *model) wanted(h happening, now time.Time) bool {
	if h.kind == replaced { // both an opening and a closing
		begun, ended := h, happening{kind: closed, on: h.before, reason: h.reason}
		begun.kind = opened
		return m.wanted(begun, now) || m.wanted(ended, now)
	}
	mine := h.on.Section == server.Main && !(h.kind == closed && h.reason.Interrupted())
	rule := m.settings.Rule(h.on.Listener)
	switch {
	case m.mode == noNotices, now.Before(m.paused), h.on.Section == server.Hidden,
		m.muted[h.on.Listener.Key()], rule.Notify == settings.NotifyNever:
		return false
	case m.mode == allPorts, rule.Notify == settings.NotifyAlways:
		return true
	case m.mode == pinnedOnly:
		return mine && m.pins(h.on.Listener)
	}
	return mine
}

// backAgain returns the notice for a server that came back right after the person stopped it.
func backAgain(e watcher.Event) notice {
	l := e.Listener
	body := whoIs(l.Owner) + " has it now"
	title := fmt.Sprintf("%d is back", l.Port)
	if by := l.Facts.Supervisor; by.Name != "" {
		title += ": restarted by " + owner.Numbered(owner.Printable(by.Name, 30), by.PID)
	}
	return notice{title: title, body: body}
}
