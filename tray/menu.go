package tray

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"porttray/watcher"
	"porttray/watcher/owner"
)

const (
	maxRows  = 16 // rows at the top level; the others are under More
	maxLabel = 60 // characters of a label; GNOME hides the rest of a menu behind much longer ones
	maxName  = 16 // characters of a process name in a label that has more to say
)

// A menu is everything the person can see of the tray, as plain data.
type menu struct {
	count   int    // listeners, for the badge
	tooltip string // what the icon says when it is pointed at
	header  string
	rows    []row
	about   string
}

// A row is one listener's entry and its submenu. It is comparable.
type row struct {
	id    watcher.ID
	label string
	who   string    // its process, as Stop and Kill name it
	facts [3]string // an empty one is not shown
	stop  command
	kill  command
}

// A command is a menu item that acts on a process, or says why it does not.
type command struct {
	label   string
	enabled bool
}

// view returns the menu that shows m.
func view(m model) menu {
	v := menu{
		count:   len(m.snapshot.Listeners),
		tooltip: tooltip(m.snapshot),
		header:  header(m),
		about:   "About porttray " + m.version + "…",
	}
	for _, l := range m.snapshot.Listeners {
		v.rows = append(v.rows, viewRow(l, m.snapshot.Time, m.goos))
	}
	return v
}

func header(m model) string {
	switch {
	case m.snapshot.Time.IsZero() && m.err == nil:
		return "Looking for ports…"
	case m.snapshot.Time.IsZero():
		return clean("Cannot read the ports: " + reason(m.err))
	case m.err != nil:
		return clean("As of " + m.snapshot.Time.Format("15:04:05") + ": " + reason(m.err))
	}
	text := fmt.Sprintf("%d ports", m.snapshot.Ports())
	switch m.snapshot.Ports() {
	case 0:
		text = "No ports"
	case 1:
		text = "1 port"
	}
	if m.slow > 0 {
		text += fmt.Sprintf(", read every %v", m.slow)
	}
	return text
}

// reason returns the innermost cause of err, which says most in few words.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// tooltip names the first ports. Windows cuts tooltips off after 127 UTF-16 units.
func tooltip(s watcher.Snapshot) string {
	if len(s.Listeners) == 0 {
		return "porttray: no ports"
	}
	text := "porttray: "
	for i, l := range s.Listeners {
		next := fmt.Sprintf("%d %s", l.Port, name(l.Owner, maxName))
		if i > 0 {
			next = ", " + next
		}
		if len(utf16.Encode([]rune(text+next))) > 100 {
			return text + ", …"
		}
		text += next
	}
	return text
}

func viewRow(l watcher.Listener, now time.Time, goos string) row {
	return row{
		id:    l.ID(),
		label: fmt.Sprintf("%d  %s", l.Port, name(l.Owner, maxLabel-len("65535  "))),
		who:   who(l.Owner),
		facts: [3]string{ownerFact(l.Owner, now), clean(owner.ShortDir(l.Owner.Dir)), reachFact(l)},
		stop:  viewCommand("stop", l.Owner, goos),
		kill:  viewCommand("kill", l.Owner, goos),
	}
}

func viewCommand(verb string, p owner.Process, goos string) command {
	switch {
	case !p.Known():
		return command{label: "Cannot " + verb + ": its owner is unknown"}
	case p.Refusal != "":
		return command{label: clean("Cannot " + verb + " " + name(p, maxName) + ": " + p.Refusal)}
	case verb == "stop" && goos == "windows":
		return command{label: "Stop: Windows can only kill"}
	}
	return command{clean(strings.ToUpper(verb[:1]) + verb[1:] + " " + who(p)), true}
}

// ownerFact says which process it is and since when, with the day where that is not today.
func ownerFact(p owner.Process, now time.Time) string {
	if !p.Known() {
		return "Its owner cannot be seen by this user"
	}
	fact := fmt.Sprintf("%s, PID %d", name(p, 24), p.PID)
	if p.Since.IsZero() {
		return fact
	}
	layout := "15:04"
	if y, m, d := p.Since.Date(); y != now.Year() {
		layout = "2 Jan 2006"
	} else if m != now.Month() || d != now.Day() {
		layout = "2 Jan 15:04"
	}
	return fact + ", since " + p.Since.Format(layout)
}

// reachFact says from where the listener can be reached, and names the addresses.
func reachFact(l watcher.Listener) string {
	if l.Wildcard() {
		return "Open to the network · all interfaces"
	}
	var addrs []string
	for _, a := range l.Addrs {
		addrs = append(addrs, a.String())
	}
	text := "Only this computer · "
	if l.Exposed() {
		text = "Open to the network · "
	}
	return clean(text + strings.Join(addrs, ", "))
}

// name returns the process's name, fit to show, in at most max characters.
func name(p owner.Process, max int) string {
	if !p.Known() {
		return "unknown owner"
	}
	if n := owner.Printable(p.Name, max); n != "" {
		return n
	}
	return "unnamed process"
}

// who names a process so that it cannot be mistaken for another one.
func who(p owner.Process) string { return fmt.Sprintf("%s (PID %d)", name(p, 30), p.PID) }

// clean makes text fit for a label: one bad label can make a panel drop the whole menu.
func clean(s string) string { return owner.Printable(s, maxLabel) }

// mnemonics returns label so that the tray host shows it as it is: hosts take an underscore (on Windows an ampersand) for the
// mark of a mnemonic. Doubled, it stands for itself; GNOME's AppIndicator extension looks at the first one only.
func mnemonics(label, goos, desktop string) string {
	switch goos {
	case "windows":
		return strings.ReplaceAll(label, "&", "&&")
	case "darwin":
		return label
	}
	n := -1
	if names := strings.Split(desktop, ":"); slices.Contains(names, "GNOME") && !slices.Contains(names, "Budgie") {
		n = 1
	}
	return strings.Replace(label, "_", "__", n)
}

// browserURL returns the address to open for l. It names localhost rather than 127.0.0.1, because development certificates
// and cookies are issued for that name. A listener that is not reachable as localhost is named by its own address.
func browserURL(l watcher.Listener, scheme string) string {
	host := "localhost"
	if at := loopback(l); !l.Wildcard() && at != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		host = at.String()
		if at.Is6() {
			host = "[" + host + "]"
		}
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, l.Port)
}

// loopback returns the loopback address by which l is reached best: 127.0.0.1 if it can be, else ::1, else its own.
func loopback(l watcher.Listener) netip.Addr {
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	best := netip.Addr{}
	for _, a := range l.Addrs {
		switch {
		case a == v4, a == netip.IPv4Unspecified():
			return v4
		case a == v6, a == netip.IPv6Unspecified():
			best = v6
		case a.IsLoopback() && !best.IsValid():
			best = a
		}
	}
	return best
}
