package tray

import (
	"fmt"
	"strings"
	"time"

	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/owner"
	"porttray/watcher/settings"
)

const (
	// latestFor is how long the latest event is the first row of the menu.
	latestFor = time.Minute
	// attentionFor is how long the icon asks for attention, unless somebody looks.
	attentionFor = 10 * time.Minute
)

// A gone is a server that closed.
type gone struct {
	at     time.Time
	was    watcher.Listener
	reason string
}

// latestText is the line that says what happened to a server. It holds a time of day rather than an age, so that it never changes.
func latestText(h happening) string {
	l := h.on.Listener
	text := ""
	switch h.kind {
	case opened:
		text = headline(l) + " is up"
	case closed:
		text = subject(l) + " stopped"
		if h.reason.Crashed() {
			text = subject(l) + " crashed"
		}
		if why := h.reason.String(); why != "" {
			text += ": " + why
		}
	case replaced:
		text = fmt.Sprintf("%d is now %s (was %s)", l.Port, subject(l), subject(h.before))
	case exposed:
		text = subject(l) + " is reachable from the network"
	case looping:
		text = subject(l) + " keeps restarting"
	case moved:
		text = fmt.Sprintf("%s is on %d: %d is taken", subject(l), l.Port, h.rival.Port)
	case slept:
		text = fmt.Sprintf("%d servers are gone since the sleep", 1+len(h.on.Also))
	}
	return at(h.at, text)
}

// at returns a label that says when something happened.
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

// viewRecent returns the entry of a server that closed.
func viewRecent(g gone) recentRow {
	if g.at.IsZero() {
		return recentRow{}
	}
	why := ""
	if g.reason != "" {
		why = ", " + g.reason
	}
	return recentRow{
		label:   at(g.at, fmt.Sprintf("%s :%d%s", subject(g.was), g.was.Port, why)),
		restart: g.was.Facts.Command,
		address: browser.URL(g.was, "http"),
	}
}

// remember puts a server that closed before the others.
func (m *model) remember(g gone) {
	copy(m.recent[1:], m.recent[:len(m.recent)-1])
	m.recent[0] = g
}

// A mode says of what notices are given.
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

// pauseLabel is the entry that pauses notices, or goes on with them.
func pauseLabel(m model) string {
	if m.paused.IsZero() {
		return "Pause for an hour"
	}
	return "Paused until " + m.paused.Format("15:04") + ", go on now"
}

// muteKey names what a person mutes: a server on its port, whatever process it is. It is fit to be kept in a file.
func muteKey(l watcher.Listener) string {
	return strings.ToValidUTF8(fmt.Sprintf("%d\x00%s", l.Port, key(l)), "\ufffd")
}

// wanted reports whether a notice is to be given of what happened.
func (m *model) wanted(h happening, now time.Time) bool {
	if h.kind == replaced { // that tells both of a beginning and of an end
		begun, ended := h, happening{kind: closed, on: watcher.Server{Listener: h.before, Section: h.place}, reason: h.reason}
		begun.kind = opened
		return m.wanted(begun, now) || m.wanted(ended, now)
	}
	mine := h.on.Section == watcher.Main && !(h.kind == closed && h.reason.Interrupted())
	rule := m.settings.Rule(h.on.Listener)
	switch {
	case m.mode == noNotices, now.Before(m.paused), h.on.Section == watcher.Hidden, m.muted[muteKey(h.on.Listener)], rule.Notify == settings.NotifyNever:
		return false
	case m.mode == allPorts, rule.Notify == settings.NotifyAlways:
		return true
	case m.mode == pinnedOnly:
		return mine && m.pins(h.on.Listener)
	}
	return mine
}

// backAgain returns the notice for a server that came back right after the person had stopped it.
func backAgain(e watcher.Event) notice {
	l := e.Listener
	body := whoIs(l.Owner) + " has it now"
	title := fmt.Sprintf("%d is back", l.Port)
	if by := l.Facts.Supervisor; by.Name != "" {
		title += ": restarted by " + owner.Numbered(owner.Printable(by.Name, 30), by.PID)
	}
	return notice{title: title, body: body}
}
