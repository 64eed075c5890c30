package tray

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"porttray/watcher"
	"porttray/watcher/owner"
)

// A notice is the text of one notification: plain, with nothing in it that a service could take for markup on purpose.
type notice struct {
	title string
	body  string

	key  string     // what it is about: a newer notice takes the place of one with the same key; empty: of none
	open bool       // offer to open the server of id
	id   watcher.ID // the listener that it is about, if open
}

// maxLine is how many characters a line of a notice may have.
const maxLine = 80

// A batch gathers the events of a moment, so that they become one notice.
type batch []watcher.Event

// add takes in an event. A listener that opened and closed within the same batch leaves nothing to tell.
func (b *batch) add(e watcher.Event) {
	if e.Kind == watcher.Closed {
		at := slices.IndexFunc(*b, func(o watcher.Event) bool {
			return o.Kind == watcher.Opened && o.Listener.Port == e.Listener.Port &&
				(o.Listener.ID() == e.Listener.ID() || !o.Listener.Owner.Known())
		})
		if at >= 0 {
			*b = slices.Delete(*b, at, at+1)
			return
		}
	}
	*b = append(*b, e)
}

// announce returns the notice that a batch deserves, if any. Facts that became known since an event come from now.
func announce(b batch, now watcher.Snapshot) (notice, bool) {
	var opened, closed []watcher.Listener
	for _, e := range b {
		if e.Kind == watcher.Closed {
			closed = append(closed, e.Listener)
		} else {
			opened = append(opened, latest(e.Listener, now))
		}
	}
	byPort := func(a, b watcher.Listener) int { return cmp.Compare(a.Port, b.Port) }
	slices.SortStableFunc(opened, byPort)
	slices.SortStableFunc(closed, byPort)
	all := slices.Concat(opened, closed)
	switch {
	case len(all) == 0:
		return notice{}, false
	case len(all) == 1 && len(opened) == 1:
		return notice{title: fmt.Sprintf("Port %d opened", all[0].Port), body: whose(all[0]),
			key: fmt.Sprint(all[0].Port), open: true, id: all[0].ID()}, true
	case len(all) == 1:
		return notice{title: fmt.Sprintf("Port %d closed", all[0].Port), body: all[0].Name(), key: fmt.Sprint(all[0].Port)}, true
	}
	return notice{title: batchTitle(len(opened), len(closed)), body: batchBody(opened, closed)}, true
}

// latest returns l with what is known about it now.
func latest(l watcher.Listener, now watcher.Snapshot) watcher.Listener {
	if found, ok := now.Find(l.ID()); ok {
		return found
	}
	if l.Owner.Known() {
		return l
	}
	for _, p := range now.Holders(l.Port) {
		if p.Known() {
			l.Owner = p
		}
	}
	return l
}

func batchTitle(opened, closed int) string {
	ports := func(n int) string {
		if n == 1 {
			return "1 port"
		}
		return fmt.Sprintf("%d ports", n)
	}
	switch {
	case closed == 0:
		return ports(opened) + " opened"
	case opened == 0:
		return ports(closed) + " closed"
	}
	return fmt.Sprintf("%s opened, %d closed", ports(opened), closed)
}

// batchBody lists two or three listeners in full and of more only the ports.
func batchBody(opened, closed []watcher.Listener) string {
	short := len(opened)+len(closed) > 3
	mixed := len(opened) > 0 && len(closed) > 0
	var lines []string
	list := func(verb string, listeners []watcher.Listener, text func(watcher.Listener) string) {
		verb = map[bool]string{true: verb}[mixed]
		if short && len(listeners) > 0 {
			lines = append(lines, verb+joinPorts(listeners))
			return
		}
		for _, l := range listeners {
			lines = append(lines, owner.Printable(fmt.Sprintf("%s%d %s", verb, l.Port, text(l)), maxLine))
		}
	}
	list("opened: ", opened, whose)
	list("closed: ", closed, watcher.Listener.Name)
	return strings.Join(lines, "\n")
}

// joinPorts lists the ports, as many as fit on a line.
func joinPorts(list []watcher.Listener) string {
	var text string
	for i, l := range list {
		next := fmt.Sprint(l.Port)
		if i > 0 {
			next = ", " + next
		}
		if len(text)+len(next) > maxLine-len(", …") {
			return text + ", …"
		}
		text += next
	}
	return text
}

// whose names a server and its directory.
func whose(l watcher.Listener) string {
	text := l.Name()
	if dir := owner.ShortDir(cmp.Or(l.Facts.Project.Dir, l.Owner.Dir)); dir != "" && l.Container.ID == "" {
		text += " in " + dir
	}
	return owner.Printable(text, maxLine)
}

// outcome returns the notice about an end that was asked for. The others are the listeners that the process had besides.
func outcome(l watcher.Listener, others []watcher.Listener, force bool, r owner.Result) notice {
	verb, done := "stop", "stopped"
	if force {
		verb, done = "kill", "killed"
	}
	p, short := who(l), name(l.Owner, 30)
	if l.Container.ID != "" {
		short = p
	}
	switch r.Outcome {
	case owner.Freed:
		if !r.Ended {
			done = "runs on, but no longer listens there"
		}
		if len(others) > 0 && r.Ended {
			done += ", which closed " + joinPorts(others) + " as well"
		}
		return notice{title: fmt.Sprintf("Port %d is free", l.Port), body: p + " " + done}
	case owner.Taken:
		return notice{title: fmt.Sprintf("Port %d was taken over", l.Port), body: fmt.Sprintf("%s let it go, and now %s has it", p, taker(r.By))}
	case owner.StillRunning:
		body := p + " did not stop within 5 seconds; Kill would force it"
		switch {
		case r.Ended:
			body = p + " has ended, but something holds the port still"
		case force:
			body = p + " is still there 5 seconds after Kill"
		}
		return notice{title: fmt.Sprintf("Port %d is still in use", l.Port), body: body}
	case owner.Unclear:
		body := p + " was asked to end; what came of it cannot be seen"
		if r.Ended {
			body = p + " has ended; whether the port is free cannot be seen"
		}
		return notice{title: fmt.Sprintf("Port %d cannot be looked at", l.Port), body: body}
	case owner.AlreadyGone:
		return nothingHit(l.Port, p, force)
	case owner.NotPermitted:
		return notice{title: fmt.Sprintf("Not permitted to %s %s", verb, short), body: fmt.Sprintf("The system does not let this user %s %s", verb, p)}
	case owner.Refused:
		return notice{title: fmt.Sprintf("Port %d: nothing was %s", l.Port, done), body: p + ": " + r.Reason}
	}
	return notice{title: fmt.Sprintf("Could not %s %s", verb, short), body: owner.Printable(fmt.Sprint(r.Err), maxLine)}
}

// nothingHit returns the notice for a click on a Stop or Kill whose target is no longer there.
func nothingHit(port uint16, who string, force bool) notice {
	done := "stopped"
	if force {
		done = "killed"
	}
	return notice{title: fmt.Sprintf("Port %d: nothing was %s", port, done), body: who + " no longer listens there"}
}

func taker(p owner.Process) string {
	if !p.Known() {
		return "a process that this user cannot see"
	}
	return whoIs(p)
}
