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

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

const (
	directRows = 8  // rows at the top level, for small screens; the others are under More
	inlineRows = 6  // the same if submenus open within the menu
	maxPorts   = 24 // entries for further ports of a server
	maxLabel   = 60 // characters of a label; GNOME hides the rest of a menu behind much longer ones
	maxRecent  = 10 // recently closed servers
	maxName    = 16 // characters of a process name in a longer label
)

// A menu is the whole tray as plain data. Each line of head and tail always has the same position.
type menu struct {
	count     int  // servers in the main list, for the badge
	attention bool // something went wrong, and nobody has opened the menu since
	tooltip   string
	head      []line
	rows      []line // the first servers of the main list
	tail      []line
}

// A line is one entry of the menu. Its kind and the positions of the lines below never change, except between rows.
type line struct {
	kind    kind
	label   string // empty: the line is hidden, but keeps its position
	grey    bool   // not clickable
	checked bool
	click   click
	key     rowKey // the owner of the lines below
	below   []line // its submenu
	rows    []line // rows at the end of its submenu
}

// A rowKey identifies the server of a row: a running one, or a pinned one that does not run.
type rowKey struct {
	id     server.ID
	target server.Target
	shape  string // of flattened lines: it changes with their positions
}

func (v menu) keys() []rowKey {
	var keys []rowKey
	for _, l := range slices.Concat([]line{{rows: v.rows}}, v.tail) {
		for _, r := range l.rows {
			keys = append(keys, r.key)
		}
		keys = append(keys, rowKey{}) // the end of a list
	}
	return keys
}

// view returns the menu that shows m.
func view(m model) menu {
	var rows, others []line
	var main []server.Server
	for _, s := range m.servers {
		switch s.Section {
		case server.Main:
			rows = append(rows, viewRow(s, m))
			main = append(main, s)
		case server.Other:
			others = append(others, viewRow(s, m))
		}
	}
	for _, p := range m.absent() {
		rows = append(rows, m.absentRow(p))
	}
	slices.SortStableFunc(rows, func(a, b line) int { return cmp.Compare(a.key.id.Port, b.key.id.Port) })
	direct := min(len(rows), directRows)
	if m.inline {
		direct = min(len(rows), inlineRows)
	}
	v := menu{count: len(main), attention: m.attention, tooltip: tooltip(main), rows: rows[:direct]}
	v.head = []line{
		{label: header(m), grey: true},
		{label: wrongLabel(m), click: click{action: openSettings}},
		m.latest,
	}
	hidden := line{kind: branch}
	for _, h := range slices.Backward(m.hidden) {
		hidden.label = "Hidden"
		hidden.below = append(hidden.below, line{label: hiddenLabel(h), click: click{action: hide, mark: h}})
	}
	other := line{kind: branch, label: countLabel("Other", len(others)), below: []line{hidden}, rows: others}
	if hidden.label != "" {
		other.label = cmp.Or(other.label, "Other")
	}
	v.tail = []line{
		{kind: branch, label: countLabel("More", len(rows)-direct), rows: rows[direct:]},
		other,
		viewRecents(m),
		{kind: separator},
		viewNotifications(m),
		{kind: branch, label: "Settings", below: []line{
			{kind: check, label: "Start at login", checked: m.atLogin, click: click{action: atLogin}},
			{label: "Open settings file", click: click{action: openSettings}},
			{label: "About porttray " + m.version + "…", click: click{action: about}},
		}},
		{label: "Quit", click: click{action: quit}},
	}
	if m.inline {
		flatten(v.rows)
		flatten(v.tail)
	}
	return v
}

// maxInline is how many entries a flattened row may have.
const maxInline = 14

// flatten removes submenus inside submenus. GNOME Shell opens a submenu within the menu, and a second one inside that
// has no height on an ordinary screen.
func flatten(lines []line) {
	for i, l := range lines {
		nested := slices.ContainsFunc(l.below, func(c line) bool { return c.kind == branch && c.label != "" })
		if !nested && len(l.rows) == 0 {
			continue
		}
		flat := l
		flat.below, flat.rows = nil, nil
		for _, c := range slices.Concat(l.below, l.rows) {
			switch {
			case c.kind != branch:
				flat.below = append(flat.below, c)
			case c.label != "":
				entries := flatEntries(c, maxInline-visible(l.below), l.key != rowKey{})
				for _, e := range entries {
					k := e.click
					flat.key.shape += fmt.Sprintln(c.key, e.kind, k.action, k.id, k.target, k.mark.Key)
				}
				flat.below = append(flat.below, entries...)
			}
		}
		lines[i] = flat
	}
}

// flatEntries returns the entries that replace a submenu. A row keeps its label with the click of its first entry, and
// its most useful other entries. A list, such as further ports or hidden servers, keeps all entries. In the submenu of
// a row it keeps as many as fit.
func flatEntries(c line, room int, inRow bool) []line {
	isRow := c.key != rowKey{}
	var entries []line
	var first click
	for _, e := range c.below {
		if e.label == "" || isRow && e.grey {
			continue
		}
		if first.action == none && e.kind == plain {
			first = e.click
		}
		useful := slices.Contains([]action{copyAddress, stop, copyThis, pin}, e.click.action)
		if isRow && !useful {
			continue
		}
		if !inRow {
			e.label = "    " + e.label
		}
		entries = append(entries, e)
	}
	switch {
	case inRow && len(entries) > room+1:
		return append(entries[:room], line{label: c.label, grey: true})
	case inRow:
		return entries
	case isRow:
		return append([]line{{label: c.label, grey: first.action == none, click: first}}, entries...)
	}
	return append([]line{{label: c.label, grey: true}}, entries...)
}

func visible(lines []line) (n int) {
	for _, l := range lines {
		if l.label != "" {
			n++
		}
	}
	return n
}

// countLabel labels a submenu with the number of its rows. Without rows the submenu is hidden.
func countLabel(label string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%d)", label, n)
}

// wrongLabel returns the label of the error in the settings file; empty without an error.
func wrongLabel(m model) string {
	if m.wrong == nil {
		return ""
	}
	return clean("Open " + m.wrong.Error())
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
	n := 0
	for _, on := range m.servers {
		if on.Section == server.Main {
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

// reason returns the innermost cause of err, the most informative part.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// tooltip lists the first servers. Windows truncates tooltips after 127 UTF-16 units.
func tooltip(servers []server.Server) string {
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

func viewRow(s server.Server, m model) line {
	l := s.Listener
	on := func(a action) click { return click{action: a, id: l.ID(), target: l.Target(), who: who(l)} }
	ends := func(a action) click { return click{action: a, id: l.ID(), target: l.Target(), who: groupName(s)} }
	named := mark{l.Key(), l.Port, s.Title}
	pinned := m.pinLine(named, m.settings.Rule(l).Pin)
	muted := m.muted[named.Key]
	fact := factLines(s, m.snapshot.Time)
	key := rowKey{id: l.ID(), target: l.Target()}
	return line{kind: branch, label: rowLabel(s, pinned.checked, muted), key: key, below: []line{
		{label: offered(m.settings.Rule(l).Opens(l), "Open in browser"), click: on(open)},
		{label: "Copy address", click: on(copyAddress)},
		viewCommand("stop", s, m, ends(stop)),
		{label: offered(l.Exposed(), "Copy network address"), click: on(copyNetwork)},
		viewPorts(s.Also, who(l), m),
		{label: offered(l.Directory() != "", "Open terminal in its directory"),
			click: on(openTerminal)},
		pinned,
		{kind: check, label: "Mute notifications", checked: muted, click: on(mute)},
		{label: "Hide", click: click{action: hide, mark: named}},
		{label: fact[0], grey: true},
		{label: fact[1], grey: true},
		viewCommand("kill", s, m, ends(kill)),
	}}
}

// offered returns the label of an optional entry; empty if the row lacks it.
func offered(has bool, label string) string {
	if !has {
		return ""
	}
	return label
}

// rowLabel returns the port and name of a server, with small marks for anything unusual.
func rowLabel(s server.Server, pinned, muted bool) string {
	begin, end := fmt.Sprintf("%d  ", s.Port), ""
	if s.Shared {
		begin = fmt.Sprintf("%d  at %s  ", s.Port, owner.Printable(addresses(s.Listener), 24))
	}
	if len(s.Also) > 0 {
		end = fmt.Sprintf("  +%d", len(s.Also))
	}
	end += reachMark(s)
	if muted {
		end += " · muted"
	}
	if pinned {
		end += "  ★"
	}
	return begin + owner.Printable(s.Title, maxLabel-utf8.RuneCountInString(begin+end)) + end
}

// reachMark marks a server that other machines can reach. A danger has the mark ⚠.
func reachMark(s server.Server) string {
	switch {
	case s.Danger() != "":
		return "  ⚠ network"
	case s.Exposed():
		return " · network"
	}
	return ""
}

// viewPorts returns the submenu of a server's further ports, at most maxPorts. A click opens a web server's port, and
// copies the address of any other. The label includes the port's role, if it has one.
func viewPorts(also []server.Listener, who string, m model) line {
	ports := line{kind: branch}
	for _, l := range also[:min(len(also), maxPorts)] {
		p := line{label: fmt.Sprintf("Open %d in browser", l.Port), click: click{action: open, id: l.ID(), who: who}}
		if !m.settings.Rule(l).Opens(l) {
			p.label, p.click.action = fmt.Sprintf("Copy address of %d", l.Port), copyAddress
		}
		if role := l.Role(); role != "" {
			p.label += " (" + role + ")"
		}
		p.label += reachMark(server.Server{Listener: l})
		ports.below = append(ports.below, p)
	}
	if len(also) > 0 {
		ports.label = owner.Printable("Also "+portRanges(also), maxLabel)
	}
	return ports
}

// portRanges lists the ports of sorted listeners, with neighbours as ranges: "9229, 30000–30019".
func portRanges(list []server.Listener) string {
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

// viewCommand returns the entry to stop or kill a server's processes or container. If that is impossible, the label
// says why.
func viewCommand(verb string, s server.Server, m model, does click) line {
	p := s.Owner
	refused := func(why string) line { return line{label: clean(why), grey: true, click: does} }
	switch {
	case s.Container.ID != "" && verb == "kill":
		return line{}
	case s.Container.ID != "":
		return line{label: clean("Stop " + does.who), click: does}
	case !p.Known():
		return refused("Cannot " + verb + ": its owner is unknown")
	case s.Untold != "":
		return refused("Cannot " + verb + " the container: " + s.Untold)
	}
	if others := s.AlsoEnds(m.servers); len(others) > 0 {
		return refused("Cannot " + verb + " it alone: also serves " + titles(others))
	}
	for _, p := range s.Group().Workers {
		if p.Refusal != "" {
			return refused("Cannot " + verb + " " + name(p, maxName) + ": " + p.Refusal)
		}
	}
	if verb == "stop" && m.goos == "windows" {
		return refused("Cannot stop: Windows can only kill")
	}
	return line{label: clean(strings.ToUpper(verb[:1]) + verb[1:] + " " + does.who), click: does}
}

// titles lists servers in a line, each with its port.
func titles(servers []server.Server) string {
	var names []string
	for _, s := range servers {
		names = append(names, fmt.Sprintf("%s :%d", s.Title, s.Port))
	}
	return strings.Join(names, ", ")
}

// factLines returns the two grey lines of a submenu: the owner of the server, and a danger, a doubt or the directory.
// explain shows all other facts.
func factLines(s server.Server, now time.Time) [2]string {
	l := s.Listener
	whose, where := ownerFact(l, now), locationFact(l)
	if l.Facts.Manager.Name != "" {
		whose += ", managed by " + l.Facts.Manager.Name
	}
	if l.Restarts > 0 {
		where = strings.TrimSuffix(fmt.Sprintf("Restarted ×%d · %s", l.Restarts, where), " · ")
	}
	return [2]string{clean(whose), clean(cmp.Or(s.Danger(), doubtFact(s), where))}
}

// ownerFact returns the owner and its start time, with the day unless that is today.
func ownerFact(l server.Listener, now time.Time) string {
	p := l.Owner
	switch {
	case l.Container.Pod:
		return clean("Pod " + l.Container.Name)
	case l.Container.ID != "":
		name := owner.Printable(cmp.Or(l.Container.Name, l.Container.ID), 24)
		return clean("Container " + name + ", image " + l.Container.Image)
	case !p.Known():
		return "This user cannot see its owner"
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

// locationFact returns the directory of the server's project or process, or the project of its container.
func locationFact(l server.Listener) string {
	if l.Container.ID != "" {
		if l.Container.Project == "" {
			return ""
		}
		service := owner.Printable(l.Container.Service, 20)
		return clean("Service " + service + " of compose project " + l.Container.Project)
	}
	project := l.Facts.Project
	text := owner.ShortDir(l.Directory())
	if project.Worktree && project.Branch != "" {
		text += ", branch " + project.Branch
	}
	return clean(text)
}

func addresses(l server.Listener) string {
	var addrs []string
	for _, a := range l.Addrs {
		addrs = append(addrs, a.String())
	}
	return strings.Join(addrs, ", ")
}

// doubtFact warns that a browser may reach another server, or that the row's information is old.
func doubtFact(s server.Server) string {
	switch {
	case s.Ambiguous:
		return fmt.Sprintf("Two servers share port %d; localhost may reach either", s.Port)
	case s.Shared:
		return fmt.Sprintf("Another server has port %d on another address", s.Port)
	case s.Container.ID != "", s.PodmanSocket() != "":
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

// who returns an unambiguous name for the owner of a listener: a container or a process.
func who(l server.Listener) string {
	if l.Container.ID != "" {
		return l.Container.Kind() + " " + owner.Printable(cmp.Or(l.Container.Name, l.Container.ID), 40)
	}
	return whoIs(l.Owner)
}

// groupName names everything that a Stop of a server ends: "gunicorn (PID 4242) and 4 workers".
func groupName(s server.Server) string {
	if s.Container.ID != "" {
		return who(s.Listener)
	}
	group := s.Group()
	return owner.Numbered(name(group.First(), 30-len(group.And())), group.First().PID) + group.And()
}

// whoIs returns an unambiguous name for a process.
func whoIs(p owner.Process) string { return owner.Numbered(name(p, 30), p.PID) }

// clean makes text fit for a label. One bad label can make a panel drop the whole menu.
func clean(s string) string { return owner.Printable(s, maxLabel) }

// mnemonics returns label in a form that the tray host shows unchanged. Hosts take an underscore (on Windows an
// ampersand) for the mark of a mnemonic, and a double one for the character itself. GNOME's AppIndicator extension
// looks only at the first one.
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

// isGNOME reports whether $XDG_CURRENT_DESKTOP names GNOME Shell. Budgie and GNOME Flashback also name GNOME, but have
// other panels.
func isGNOME(desktop string) bool {
	has := func(name string) bool { return slices.Contains(strings.Split(desktop, ":"), name) }
	return has("GNOME") && !has("Budgie") && !has("GNOME-Flashback")
}
