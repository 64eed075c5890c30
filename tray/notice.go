package tray

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// A notice is the plain text of one notification, without intended markup.
type notice struct {
	title string
	body  string

	key  string    // a newer notice replaces one with the same key; empty: it replaces none
	open bool      // offer to open the server of id
	id   server.ID // for open: the listener
}

// maxLine is the most characters in a line of a notice.
const maxLine = 80

// maxTitle is the most characters in a title or body.
const maxTitle = 120

// announce returns the notice of one happening or of several.
func announce(all []happening) notice {
	h := all[0]
	n := announceOne(h)
	n.key, n.id = fmt.Sprint(h.on.Port), h.on.ID()
	n.open = h.on.Web() && (h.kind == opened || h.kind == moved || h.kind == replaced || h.kind == exposed)
	if len(all) > 1 {
		n = announceAll(all)
	}
	n.title, n.body = owner.Printable(n.title, maxTitle), owner.Printable(n.body, maxTitle)
	return n
}

// announceOne returns a notice of one server. The title is the event, and the body is the reason.
func announceOne(h happening) notice {
	l := h.on.Listener
	switch h.kind {
	case opened:
		return notice{title: headline(h.on) + " is up", body: strings.TrimLeft(whereIs(l)+exposure(h.on), ",. ")}
	case closed:
		verb := " stopped"
		if h.reason.Crashed() {
			verb = " crashed"
		}
		title := headline(h.on) + verb + lifetime(l, h.at)
		return notice{title: title, body: cmp.Or(h.reason.String(), "the reason is unknown")}
	case replaced:
		now, before := distinct(h.on, h.before)
		body := headline(before)
		if why := h.reason.String(); why != "" {
			body += ": " + why
		}
		is, was := subject(now), subject(before)
		if is == was {
			is, was = headline(now), headline(before)
		}
		return notice{title: fmt.Sprintf("%d is now %s (was %s)", l.Port, is, was), body: body}
	case exposed:
		body := fmt.Sprintf("port %d, bound to %s", h.port.Port, addresses(h.port))
		return notice{title: subject(h.on) + " is now reachable from the network", body: body}
	case looping:
		body := fmt.Sprintf("port %d: %d times within %s", l.Port, h.count, duration(h.span))
		if why := h.reason.String(); why != "" && h.reason.Cause == watcher.OwnerEnded {
			body += "; the last time it " + why
		}
		return notice{title: subject(h.on) + " keeps restarting", body: body}
	case moved:
		on, rival := distinct(h.on, h.before)
		title := fmt.Sprintf("%s is on %d: %d is held by %s", subject(on), l.Port, h.before.Port, heldBy(rival, h.at))
		return notice{title: title, body: whereIs(l)}
	}
	if len(h.more) == 0 {
		return notice{title: headline(h.on) + " is gone since the computer slept"}
	}
	return notice{title: fmt.Sprintf("%d servers are gone since the computer slept", len(h.all())), body: list(h.all())}
}

// distinct returns two servers with different titles, if anything about them differs.
func distinct(a, b server.Server) (server.Server, server.Server) {
	pair := []server.Server{a, b}
	if subject(a) == subject(b) {
		server.TitleAll(pair)
	}
	return pair[0], pair[1]
}

// all returns the servers of a happening: one, or those that closed during a sleep.
func (h happening) all() []server.Server { return append([]server.Server{h.on}, h.more...) }

// announceAll counts the happenings of each kind, and lists their servers.
func announceAll(all []happening) notice {
	var counts []string
	var on []server.Server
	for _, kind := range []struct {
		kinds []what
		verb  string
	}{
		{[]what{closed, slept}, "closed"}, {[]what{opened, moved}, "opened"}, {[]what{replaced}, "taken over"},
		{[]what{exposed}, "open to the network"}, {[]what{looping}, "restarting again and again"},
	} {
		n := 0
		for _, h := range all {
			if !slices.Contains(kind.kinds, h.kind) {
				continue
			}
			on = append(on, h.all()...)
			n += len(h.all())
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, kind.verb))
		}
	}
	noun := " ports "
	if strings.HasPrefix(counts[0], "1 ") {
		noun = " port "
	}
	return notice{title: strings.Replace(strings.Join(counts, ", "), " ", noun, 1) + common(on), body: list(on)}
}

// common returns the project that all servers belong to; empty if there is none.
func common(all []server.Server) string {
	first := all[0]
	for _, l := range all {
		if l.Container.Project != first.Container.Project || l.Facts.Project.Dir != first.Facts.Project.Dir {
			return ""
		}
	}
	switch {
	case first.Container.Project != "":
		return " (compose project " + owner.Printable(first.Container.Project, 30) + ")"
	case first.Facts.Project.Name != "":
		return " (" + owner.Printable(first.Facts.Project.Name, 30) + ")"
	}
	return ""
}

func list(all []server.Server) string {
	var names []string
	for _, s := range all {
		names = append(names, fmt.Sprintf("%d %s", s.Port, titled(s).Title))
	}
	return strings.Join(names, ", ")
}

// titled returns a server with its title. A server without details gets the title that it would have alone.
func titled(s server.Server) server.Server {
	if s.Title == "" || s.Place == "" && s.Runs == "" {
		alone := server.Alone(s.Listener)
		s.Title, s.Place, s.Runs = cmp.Or(s.Title, alone.Title), alone.Place, alone.Runs
	}
	return s
}

// subject returns the short name of a server: its label, project or container service, else the running program.
func subject(s server.Server) string {
	const most = 40
	s = titled(s)
	c := s.Container
	switch label := owner.Printable(s.Label, most); {
	case label != "":
		return label
	case c.ID != "":
		return owner.Printable(cmp.Or(c.Service, c.Name, c.Image), most)
	}
	return cmp.Or(owner.Printable(cmp.Or(s.Place, s.Runs), most), name(s.Owner, most))
}

// headline returns a server's name, program and port: "shop (Vite :5173)".
func headline(s server.Server) string {
	s = titled(s)
	tool := owner.Printable(s.Facts.Tool.Name, 24)
	runs := cmp.Or(s.Runs, tool)
	switch {
	case s.Container.ID != "":
		runs = strings.TrimSpace(tool + " container")
	case s.Place == "" && s.Label == "": // the subject says it
		runs = ""
	}
	return fmt.Sprintf("%s (%s)", subject(s), strings.TrimSpace(fmt.Sprintf("%s :%d", runs, s.Port)))
}

// whereIs returns the directory or image of a server.
func whereIs(l server.Listener) string {
	if l.Container.ID != "" {
		return "image " + l.Container.Image
	}
	if dir := owner.ShortDir(l.Directory()); dir != "" {
		return "in " + dir
	}
	return ""
}

func exposure(s server.Server) string {
	switch danger := s.Danger(); {
	case danger != "":
		return ". " + danger
	case s.Exposed():
		return ", open to the network"
	}
	return ""
}

// lifetime returns how long a server ran until then.
func lifetime(l server.Listener, until time.Time) string {
	if since := l.Owner.Since; l.Container.ID == "" && !since.IsZero() && until.After(since) {
		return " after " + duration(until.Sub(since))
	}
	return ""
}

// heldBy returns the owner of a port, and its age.
func heldBy(s server.Server, now time.Time) string {
	text := fmt.Sprintf("%s (PID %d", subject(s), s.Owner.PID)
	if since := s.Owner.Since; !since.IsZero() && now.After(since) {
		text += ", " + duration(now.Sub(since))
	}
	return text + ")"
}

// duration returns d in one unit or two.
func duration(d time.Duration) string {
	units := func(n time.Duration, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, many)
	}
	switch {
	case d < time.Minute:
		return units(d/time.Second, "s", "s")
	case d < time.Hour:
		return units(d/time.Minute, "min", "min")
	case d < 24*time.Hour:
		text := units(d/time.Hour, "h", "h")
		if rest := d % time.Hour / time.Minute; rest > 0 {
			text += " " + units(rest, "min", "min")
		}
		return text
	}
	return units(d/(24*time.Hour), "day", "days")
}

// joinPorts lists ports, as many as fit on a line.
func joinPorts(list []server.Listener) string {
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

// outcome returns the notice about a Stop or Kill of s. servers are those at the time of the click.
func outcome(s server.Server, servers []server.Server, force bool, r owner.Result) notice {
	verb, done := "stop", "stopped"
	if force {
		verb, done = "kill", "killed"
	}
	l, p, short := s.Listener, groupName(s), name(s.Owner, 30)
	if l.Container.ID != "" {
		short = p
	}
	ended := p + " " + done
	if others := otherPorts(s); len(others) > 0 {
		ended += "; this also closed " + joinPorts(others)
	}
	if !r.Ended {
		ended = p + " still runs, but no longer listens there"
	}
	switch r.Outcome {
	case owner.Freed:
		return notice{title: fmt.Sprintf("Port %d is free", l.Port), body: ended}
	case owner.Shared:
		body := ended + "; " + whoHas(r.Left, servers) + " still listens there"
		return notice{title: fmt.Sprintf("Port %d is still in use", l.Port), body: body}
	case owner.Taken:
		body := fmt.Sprintf("%s released the port, and now %s has it", p, whoHas(r.Left, servers))
		return notice{title: fmt.Sprintf("Port %d was taken over", l.Port), body: body}
	case owner.StillRunning:
		body, left := p+" did not stop within 5 seconds", ""
		if s.Group().And() != "" {
			left = "; still running: " + owner.NumberedAll(r.Left)
		}
		switch {
		case r.Ended:
			body = p + " has ended, but something still holds the port"
		case force:
			body = p + " did not end within 5 seconds of Kill" + left
		default:
			body += left + "; use Kill to force it"
		}
		return notice{title: fmt.Sprintf("Port %d is still in use", l.Port), body: body}
	case owner.Unclear:
		body := p + " was asked to end; the result is unknown"
		if r.Ended {
			body = p + " has ended; the port may still be in use"
		}
		return notice{title: fmt.Sprintf("Port %d cannot be checked", l.Port), body: body}
	case owner.AlreadyGone:
		return nothingHit(l.Port, p, force)
	case owner.NotPermitted:
		body := fmt.Sprintf("The system does not allow this user to %s %s", verb, p)
		return notice{title: fmt.Sprintf("Not permitted to %s %s", verb, short), body: body}
	case owner.Refused:
		return notice{title: fmt.Sprintf("Port %d: nothing was %s", l.Port, done), body: p + ": " + r.Reason}
	}
	return notice{title: fmt.Sprintf("Could not %s %s", verb, short), body: owner.Printable(fmt.Sprint(r.Err), maxLine)}
}

// nothingHit returns the notice for a Stop or Kill without its target.
func nothingHit(port uint16, who string, force bool) notice {
	done := "stopped"
	if force {
		done = "killed"
	}
	return notice{title: fmt.Sprintf("Port %d: nothing was %s", port, done), body: who + " no longer listens there"}
}

// whoHas returns the first owner of a port. It names the server if that is known.
func whoHas(left []owner.Process, servers []server.Server) string {
	p := left[0]
	for _, s := range servers {
		if s.Has(p) {
			return owner.Printable(s.Title, 40)
		}
	}
	if !p.Known() {
		return "a process that this user cannot see"
	}
	return whoIs(p)
}
