//go:build linux && soak

package tray_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// A picture is a menu as text, either the real or the expected one.
type picture struct {
	text    string
	tooltip string
	count   int // number of servers in the main list
}

// A pictureRow is the row of a server, a line of a picture.
type pictureRow struct {
	port    uint16
	pid     int
	title   string
	text    string
	section string // main, other, hidden
	key     string // the key for pin, mute and hide
}

// expected returns the expected picture, from a reading of the listeners and the user's choices.
func (s *soak) expected(read []*holding) picture {
	var rows []pictureRow
	users := map[uint16]int{}
	for _, h := range read {
		for port := range h.ports {
			users[port]++
		}
	}
	titles := map[string]string{} // titles of running servers, by key
	for _, h := range read {
		r := s.expectedRow(h, users)
		rows, titles[r.key] = append(rows, r), r.title
	}
	for _, c := range s.redirected {
		of := subject{port: c.port}
		title := cmp.Or(s.rules.of(of).label, "nginx · "+c.name+" (container)")
		text := fmt.Sprintf("%d  %s | Stop container %s", c.port, title, c.name)
		rows = append(rows, pictureRow{port: c.port, title: title, section: s.section(of), text: text})
	}
	slices.SortFunc(rows, func(a, b pictureRow) int {
		return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.pid, b.pid))
	})
	count, tooltip := 0, ""
	for _, r := range rows {
		if r.section == "main" {
			count++
			tooltip = addTooltip(tooltip, fmt.Sprintf("%d %s", r.port, r.title))
		}
	}
	var absent []pictureRow
	for key, m := range s.pinned {
		if title, runs := titles[key]; runs {
			m.title = title
		} else {
			absent = append(absent, absentRow(m.port, m.title))
		}
	}
	if s.rules.marker != "" {
		absent = append(absent, absentRow(markerPort, s.rules.marker))
	}
	rows = append(rows, absent...)
	slices.SortStableFunc(rows, func(a, b pictureRow) int { return cmp.Compare(a.port, b.port) })
	header := fmt.Sprintf("%d servers", count)
	switch {
	case count == 0:
		header = "No servers"
	case count == 1:
		header = "1 server"
	}
	if s.wrong != "" {
		header += "\n" + s.wrong
	}
	return picture{text: s.paint(header, rows), count: count, tooltip: cmp.Or(tooltip, "porttray: no servers")}
}

func absentRow(port uint16, title string) pictureRow {
	label := fmt.Sprintf("○ %d  %s, not running", port, title)
	return pictureRow{port: port, text: label, section: "main"}
}

// addTooltip adds a server to the tooltip. The limit is 100 UTF-16 units and then an ellipsis.
func addTooltip(text, next string) string {
	switch {
	case strings.HasSuffix(text, ", …"):
		return text
	case text == "":
		text = "porttray: "
	default:
		next = ", " + next
	}
	if len(utf16.Encode([]rune(text+next))) > 100 {
		return text + ", …"
	}
	return text + next
}

// paint returns a picture as text: header, rows, hidden servers and mode.
func (s *soak) paint(header string, rows []pictureRow) string {
	var b strings.Builder
	fmt.Fprintln(&b, header)
	const atTop = 8
	main := slices.DeleteFunc(slices.Clone(rows), func(r pictureRow) bool { return r.section != "main" })
	other := slices.DeleteFunc(slices.Clone(rows), func(r pictureRow) bool { return r.section != "other" })
	for i, r := range main {
		if i == atTop {
			fmt.Fprintf(&b, "More (%d)\n", len(main)-atTop)
		}
		fmt.Fprintln(&b, r.text)
	}
	if len(other) > 0 {
		fmt.Fprintf(&b, "Other (%d)\n", len(other))
		for _, r := range other {
			fmt.Fprintln(&b, r.text)
		}
	}
	for _, m := range slices.Backward(s.hidden) {
		fmt.Fprintf(&b, "Show %d  %s\n", m.port, m.title)
	}
	fmt.Fprintf(&b, "Notifications: %s", s.mode)
	if s.paused {
		fmt.Fprint(&b, ", paused")
	}
	return b.String()
}

func (s *soak) projectAt(dir string) string {
	for _, p := range s.projects {
		if p.dir == dir {
			return p.name
		}
	}
	return ""
}

// headOf returns the first port in the row of a process.
func (s *soak) headOf(h *holding) uint16 {
	for _, v := range s.servers {
		if v.pid == h.pid && h.ports[v.head()] != nil {
			return v.head()
		}
	}
	return slices.MinFunc(slices.Collect(maps.Keys(h.ports)), func(a, b uint16) int { return int(a) - int(b) })
}

func (s *soak) expectedRow(h *holding, users map[uint16]int) pictureRow {
	exposed := false
	for _, addrs := range h.ports {
		exposed = exposed || slices.ContainsFunc(addrs, netip.Addr.IsUnspecified)
	}
	head := s.headOf(h)
	also := slices.DeleteFunc(slices.Sorted(maps.Keys(h.ports)), func(port uint16) bool { return port == head })
	of, boxed := subject{head, s.projectAt(h.dir), h.name}, s.boxAt(head)
	title := of.project + " · " + h.name
	if strings.EqualFold(of.project, h.name) { // it is the project's own program
		title = of.project
	}
	if boxed != "" {
		of.project, title = "", "nginx · "+boxed+" (container)"
	}
	r := pictureRow{port: head, pid: h.pid, section: s.section(of), title: cmp.Or(s.rules.of(of).label, title),
		key: markOf(of)}
	r.text = fmt.Sprintf("%d  ", head)
	if users[head] > 1 {
		var addrs []string
		for _, a := range h.ports[head] {
			addrs = append(addrs, a.String())
		}
		r.text += "at " + strings.Join(addrs, ", ") + "  "
	}
	r.text += r.title
	if len(also) > 0 {
		r.text += fmt.Sprintf("  +%d", len(also))
	}
	if exposed {
		r.text += " · network"
	}
	if boxed == "" && s.muted[r.key] {
		r.text += " · muted"
	}
	if boxed == "" && s.pinned[r.key] != nil {
		r.text += "  ★"
	}
	for _, port := range also {
		r.text += fmt.Sprintf(" | Open %d in browser", port)
		if slices.ContainsFunc(h.ports[port], netip.Addr.IsUnspecified) {
			r.text += " · network"
		}
	}
	if boxed != "" {
		r.text += " | Stop container " + boxed
		return r
	}
	if s.pinned[r.key] != nil {
		r.text += " | Pin"
	}
	if s.muted[r.key] {
		r.text += " | Mute notifications"
	}
	r.text += fmt.Sprintf(" | Stop %s (PID %d)", h.name, h.pid)
	if n := s.restartsOf(h.pid); n > 0 {
		r.text += fmt.Sprintf(" | Restarted ×%d", n)
	}
	r.text += fmt.Sprintf(" | Kill %s (PID %d)", h.name, h.pid)
	return r
}

var (
	rowLabels   = regexp.MustCompile(`^(○ )?\d+  `)
	slowHeaders = regexp.MustCompile(`, read every .*$`)
	wrongKeys   = regexp.MustCompile(`"wrong\d+"`)
	acts        = regexp.MustCompile(`^(Stop|Kill|Cannot|Restarted) `)
	restartFact = regexp.MustCompile(` \| Restarted ×\d+`)
)

// seen returns the picture of a real menu as text.
func seen(menu *node) string {
	var b strings.Builder
	header := slowHeaders.ReplaceAllString(menu.children[0].label, "")
	fmt.Fprintln(&b, header)
	if wrong := wrongKeys.FindString(menu.children[1].label); wrong != "" {
		fmt.Fprintln(&b, wrong)
	}
	write := func(n *node) {
		for _, c := range n.children {
			if rowLabels.MatchString(c.label) {
				fmt.Fprintln(&b, seenRow(c))
			}
		}
	}
	write(menu)
	var notifications string
	for _, c := range menu.children {
		switch {
		case strings.HasPrefix(c.label, "More ("), strings.HasPrefix(c.label, "Other ("):
			fmt.Fprintln(&b, c.label)
			write(c)
		case c.label == "Notifications":
			for _, m := range c.children {
				if m.checked {
					notifications += m.label
				}
				if strings.HasPrefix(m.label, "Resume (paused until") {
					notifications += ", paused"
				}
			}
		}
	}
	for _, c := range menu.children {
		if hidden := c.find("Hidden"); strings.HasPrefix(c.label, "Other") && hidden != nil {
			for _, h := range hidden.children {
				fmt.Fprintln(&b, h.label)
			}
		}
	}
	fmt.Fprintf(&b, "Notifications: %s", notifications)
	return b.String()
}

// restartsOf returns how often a server restarted, 0 if the test does not know it for sure.
func (s *soak) restartsOf(pid int) int {
	for _, v := range s.servers {
		if v.pid == pid && !v.unsure {
			return v.restarts
		}
	}
	return 0
}

// forgive removes restart counts from a picture if the test does not know them for sure.
func (s *soak) forgive(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for _, v := range s.servers {
			if v.unsure && strings.Contains(line, fmt.Sprintf("(PID %d)", v.pid)) {
				lines[i] = restartFact.ReplaceAllString(line, "")
			}
		}
	}
	return strings.Join(lines, "\n")
}

// seenRow returns the row of a server as text: its label, further ports, checked entries, restarts, and Stop and Kill.
func seenRow(row *node) string {
	// Other tests check the sign for a server that became exposed under observation.
	calm := strings.NewReplacer("  ⚠ network", " · network")
	text := []string{calm.Replace(row.label)}
	for _, c := range row.children {
		for _, further := range c.children {
			text = append(text, calm.Replace(further.label))
		}
	}
	for _, c := range row.children {
		if c.checked && !strings.HasPrefix(row.label, "○") {
			text = append(text, c.label)
		}
	}
	for _, c := range row.children {
		if acts.MatchString(c.label) {
			label, _, _ := strings.Cut(c.label, " · ") // cut the directory after the restarts
			text = append(text, label)
		}
	}
	return strings.Join(text, " | ")
}
