package tray

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/port"
)

const (
	maxRows   = 16 // rows at the top level; the others of the main list are under More
	maxPorts  = 24 // further ports of a server that have an entry
	maxLabel  = 60 // characters of a label; GNOME hides the rest of a menu behind much longer ones
	maxRecent = 10 // servers that closed lately
	maxName   = 16 // characters of a process name in a label that has more to say
)

// A menu is everything the person can see of the tray, as plain data.
type menu struct {
	count     int    // servers in the main list, for the badge
	attention bool   // the icon asks for it
	tooltip   string // what the icon says when it is pointed at
	header    string
	latest    entryText // what happened last; without a label if that is long ago
	rows      []row     // the main list
	other     []row     // under Other
	recent    [maxRecent]recentRow
	hidden    [maxMarks]mark // the servers that were hidden, the latest first
	mode      mode           // of notifications
	pause     string
	atLogin   bool
	about     string
}

// An entryText is a label with what a click on it is about. Without a label it is not shown.
type entryText struct {
	label string
	id    watcher.ID
}

// A recentRow is the entry of a server that closed lately. Without a label it is not shown.
type recentRow struct {
	label   string
	restart string // the command that starts it again; empty if it is not known
	address string
}

// A row is one server's entry and its submenu. It is comparable.
type row struct {
	id      watcher.ID
	target  target // what its Stop and Kill are aimed at
	label   string
	who     string // its process or container, as Stop and Kill name it
	network bool   // whether there is an address for other machines to copy
	also    string // the label over the further ports; empty if there are none
	ports   [maxPorts]furtherPort
	facts   [7]string // an empty one is not shown
	muted   bool
	pinned  bool
	byRule  bool // what pins it is a rule alone, which no click undoes
	mark    mark // what a pin or a hide is about
	dir     bool // there is a directory to open a terminal in
	stop    command
	kill    command // without a label where it is not offered

	absent  bool   // it is pinned and does not run: of the entries there are only Pin and the next one
	restart string // the command that starts it again, if it is known
}

// A furtherPort is the entry of one more port of a server. An empty label means that there is none.
type furtherPort struct {
	id    watcher.ID
	label string
}

// A command is a menu item that acts on a process or container, or says why it does not.
type command struct {
	label   string
	enabled bool
}

// view returns the menu that shows m.
func view(m model) menu {
	v := menu{header: header(m), latest: m.latest, attention: m.attention, mode: m.mode, pause: pauseLabel(m), atLogin: m.atLogin, about: "About porttray " + m.version + "…"}
	for i, h := range m.hidden[max(0, len(m.hidden)-maxMarks):] {
		v.hidden[min(len(m.hidden), maxMarks)-1-i] = h
	}
	for i, c := range m.recent {
		v.recent[i] = viewRecent(c)
	}
	var main []watcher.Server
	for _, s := range m.servers {
		switch s.Section {
		case watcher.Main:
			v.rows = append(v.rows, viewRow(s, m))
			main = append(main, s)
		case watcher.Other:
			v.other = append(v.other, viewRow(s, m))
		}
	}
	for _, p := range m.absent() {
		v.rows = append(v.rows, m.absentRow(p))
	}
	slices.SortStableFunc(v.rows, func(a, b row) int { return cmp.Compare(a.id.Port, b.id.Port) })
	v.count, v.tooltip = len(main), tooltip(main)
	return v
}

func header(m model) string {
	switch {
	case m.wrong != nil && m.err == nil:
		return clean(m.wrong.Error())
	case m.snapshot.Time.IsZero() && m.err == nil:
		return "Looking for ports…"
	case m.snapshot.Time.IsZero():
		return clean("Cannot read the ports: " + reason(m.err))
	case m.err != nil:
		return clean("As of " + m.snapshot.Time.Format("15:04:05") + ": " + reason(m.err))
	}
	n := 0
	for _, server := range m.servers {
		if server.Section == watcher.Main {
			n++
		}
	}
	text := fmt.Sprintf("%d servers", n)
	switch n {
	case 0:
		text = "No servers"
	case 1:
		text = "1 server"
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

// tooltip names the first servers. Windows cuts tooltips off after 127 UTF-16 units.
func tooltip(servers []watcher.Server) string {
	if len(servers) == 0 {
		return "porttray: no servers"
	}
	text := "porttray: "
	for i, s := range servers {
		next := fmt.Sprintf("%d %s", s.Port, s.Title)
		if i > 0 {
			next = ", " + next
		}
		if len(utf16.Encode([]rune(owner.LeftToRight(text+next)))) > 100 {
			return text + ", …"
		}
		text += next
	}
	return text
}

func viewRow(s watcher.Server, m model) row {
	l := s.Listener
	r := row{
		id:      l.ID(),
		target:  targetOf(l),
		label:   rowLabel(s),
		who:     who(l),
		network: l.Exposed(),
		muted:   m.muted[muteKey(l)],
		pinned:  m.pins(l),
		byRule:  m.settings.Rule(l).Pin && !marked(m.pinned, muteKey(l)),
		mark:    mark{muteKey(l), l.Port, s.Title},
		dir:     l.Container.ID == "" && (l.Facts.Project.Dir != "" || l.Owner.Dir != ""),
		facts:   [7]string{ownerFact(l, m.snapshot.Time), restartFact(l), placeFact(l), reachFact(l), portFact(l.Port, m.ports), managerFact(l), doubtFact(s)},
		stop:    viewCommand("stop", l, m.goos),
		kill:    viewCommand("kill", l, m.goos),
	}
	if len(s.Also) > 0 {
		r.also, r.ports = viewPorts(s.Also)
	}
	return r
}

// rowLabel is the line by which a server is known: its port, its name, and the marks of what is unusual about it.
func rowLabel(s watcher.Server) string {
	begin, end := fmt.Sprintf("%d  ", s.Port), ""
	if s.Shared {
		begin = fmt.Sprintf("%d  at %s  ", s.Port, owner.Printable(addresses(s.Listener), 24))
	}
	if len(s.Also) > 0 {
		end = fmt.Sprintf("  +%d", len(s.Also))
	}
	if s.Exposed() {
		end += "  ⚠"
	}
	return begin + owner.Printable(s.Title, maxLabel-utf8.RuneCountInString(begin+end)) + end
}

// viewPorts returns the entry over the further ports of a server, and an entry for each of them as far as there is room.
func viewPorts(also []watcher.Listener) (label string, ports [maxPorts]furtherPort) {
	for i, l := range also[:min(len(also), maxPorts)] {
		ports[i] = furtherPort{l.ID(), fmt.Sprintf("Open %d in browser", l.Port)}
		if l.Exposed() {
			ports[i].label += "  ⚠"
		}
	}
	return owner.Printable("Also "+portRanges(also), maxLabel), ports
}

// portRanges lists the ports of sorted listeners, neighbours as ranges: "9229, 30000–30019".
func portRanges(list []watcher.Listener) string {
	var ranges []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1].Port == list[j].Port+1 {
			j++
		}
		switch first, last := list[i].Port, list[j].Port; j - i {
		case 0:
			ranges = append(ranges, fmt.Sprint(first))
		case 1:
			ranges = append(ranges, fmt.Sprint(first), fmt.Sprint(last))
		default:
			ranges = append(ranges, fmt.Sprintf("%d–%d", first, last))
		}
		i = j + 1
	}
	return strings.Join(ranges, ", ")
}

func viewCommand(verb string, l watcher.Listener, goos string) command {
	p := l.Owner
	switch {
	case l.Container.ID != "" && verb == "kill":
		return command{}
	case l.Container.ID != "":
		return command{clean("Stop " + who(l)), true}
	case !p.Known():
		return command{label: "Cannot " + verb + ": its owner is unknown"}
	case l.Untold != "":
		return command{label: clean("Cannot " + verb + " the container: " + l.Untold)}
	case p.Refusal != "":
		return command{label: clean("Cannot " + verb + " " + name(p, maxName) + ": " + p.Refusal)}
	case verb == "stop" && goos == "windows":
		return command{label: "Stop: Windows can only kill"}
	}
	return command{clean(strings.ToUpper(verb[:1]) + verb[1:] + " " + who(l)), true}
}

// ownerFact says which process it is and since when, with the day where that is not today.
func ownerFact(l watcher.Listener, now time.Time) string {
	p := l.Owner
	switch {
	case l.Container.ID != "":
		return clean("Container " + owner.Printable(l.Container.Name, 24) + ", image " + l.Container.Image)
	case !p.Known():
		return "Its owner cannot be seen by this user"
	}
	fact := fmt.Sprintf("%s, PID %d", name(p, 24), p.PID)
	if p.Foreign {
		fact += " of another user"
	}
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

// restartFact says how often the server was seen to restart.
func restartFact(l watcher.Listener) string {
	if l.Restarts == 0 {
		return ""
	}
	return fmt.Sprintf("Restarted ×%d", l.Restarts)
}

// placeFact says where the server belongs: the directory of its project or process, or the project of its container.
func placeFact(l watcher.Listener) string {
	if l.Container.ID != "" {
		if l.Container.Project == "" {
			return ""
		}
		return clean("Service " + owner.Printable(l.Container.Service, 20) + " of compose project " + l.Container.Project)
	}
	project := l.Facts.Project
	text := owner.ShortDir(cmp.Or(project.Dir, l.Owner.Dir))
	if project.Worktree && project.Branch != "" {
		text += ", branch " + project.Branch
	}
	return clean(text)
}

// reachFact says from where the listener can be reached, and names the addresses.
func reachFact(l watcher.Listener) string {
	if l.Wildcard() {
		return "Open to the network · all interfaces"
	}
	text := "Only this computer · "
	if l.Exposed() {
		text = "Open to the network · "
	}
	return clean(text + addresses(l))
}

func addresses(l watcher.Listener) string {
	var addrs []string
	for _, a := range l.Addrs {
		addrs = append(addrs, a.String())
	}
	return strings.Join(addrs, ", ")
}

// portFact says what the port's number means.
func portFact(p uint16, ports port.System) string {
	text := port.ClassOf(p).String() + " port"
	if service := ports.Service(p); service != "" {
		text += " · " + service
	}
	if ports.Ephemeral(p) {
		text += " · one that this system hands out"
	}
	return clean(strings.ToUpper(text[:1]) + text[1:])
}

// managerFact names what would start the server again.
func managerFact(l watcher.Listener) string {
	if l.Facts.Manager.Name == "" {
		return ""
	}
	return clean("Managed by " + l.Facts.Manager.Name)
}

// doubtFact warns that a browser may not get to the server that the row names, or that what the row says is old.
func doubtFact(s watcher.Server) string {
	switch {
	case s.Ambiguous:
		return fmt.Sprintf("Port %d twice: localhost may reach either", s.Port)
	case s.Shared:
		return fmt.Sprintf("Another server has port %d at another address", s.Port)
	case s.Container.ID != "":
		return clean(s.Untold)
	}
	return ""
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

// who names what a listener belongs to, a container or a process, so that it cannot be mistaken for another one.
func who(l watcher.Listener) string {
	if l.Container.ID != "" {
		return "container " + owner.Printable(cmp.Or(l.Container.Name, l.Container.ID), 40)
	}
	return whoIs(l.Owner)
}

// whoIs names a process so that it cannot be mistaken for another one.
func whoIs(p owner.Process) string { return owner.Numbered(name(p, 30), p.PID) }

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
	if isGNOME(desktop) {
		n = 1
	}
	return strings.Replace(label, "_", "__", n)
}

// isGNOME reports whether $XDG_CURRENT_DESKTOP names GNOME Shell, which Budgie is not, though it names GNOME as well.
func isGNOME(desktop string) bool {
	names := strings.Split(desktop, ":")
	return slices.Contains(names, "GNOME") && !slices.Contains(names, "Budgie")
}
