package tray

import (
	"cmp"
	"fmt"
	"slices"

	"porttray/watcher/owner"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// A mark is a server that the person pinned or hid. Its key is the same after a restart. Port and Name describe it
// while it does not run.
type mark struct {
	Key  server.Key `toml:"key"`
	Port uint16     `toml:"port"`
	Name string     `toml:"name"`
}

// maxMarks is how many marks of each kind are saved. Newer marks replace the oldest.
const maxMarks = 64

func marked(marks []mark, key server.Key) bool {
	return slices.ContainsFunc(marks, func(m mark) bool { return m.Key == key })
}

// toggled returns the marks with m added, or without m if it was there.
func toggled(marks []mark, m mark) []mark {
	if marked(marks, m.Key) {
		return slices.DeleteFunc(slices.Clone(marks), func(n mark) bool { return n.Key == m.Key })
	}
	all := append(slices.Clone(marks), m)
	return all[max(0, len(all)-maxMarks):]
}

// sort puts each server into its section.
func (m *model) sort() {
	m.servers = slices.Clone(m.snapshot.Servers)
	for i, s := range m.servers {
		m.servers[i].Section = m.section(s)
	}
	// Keep the latest name of a pinned server for the time after its end.
	for i, p := range m.pinned {
		for _, s := range m.servers {
			if s.Listener.Key() == p.Key && s.Title != p.Name {
				m.pinned = slices.Clone(m.pinned)
				m.pinned[i].Name = s.Title
			}
		}
	}
	for _, s := range m.servers {
		if key := s.Listener.Key(); m.pins(s.Listener) && s.Facts.Command != "" {
			m.commands[key] = s.Facts.Command
		}
		if key := s.Listener.Key(); m.keeps(s.Listener) && (m.ruled[key].Port != 0 || len(m.ruled) < maxMarks) {
			m.ruled[key] = s
		}
	}
}

// keeps reports whether a rule keeps a listener's server in the menu while it does not run. That makes no sense for a
// port that the system picks: the next one is different.
func (m *model) keeps(l server.Listener) bool {
	r := m.settings.Rule(l)
	return r.Pin && r.Show != settings.ShowNever && !m.ports.HandedOut(l.Port)
}

// runs reports whether the server with that key runs.
func (m *model) runs(key server.Key) bool {
	return slices.ContainsFunc(m.servers, func(s server.Server) bool { return s.Listener.Key() == key })
}

// section returns the section of a server. Choices in the menu override the rules, and a server pinned in the menu
// is always in the main list.
func (m *model) section(s server.Server) server.Section {
	switch key := s.Listener.Key(); {
	case marked(m.pinned, key):
		return server.Main
	case marked(m.hidden, key):
		return server.Hidden
	}
	return s.Section
}

// pins reports whether a listener's server is pinned, in the menu or by a rule.
func (m *model) pins(l server.Listener) bool {
	return marked(m.pinned, l.Key()) || m.settings.Rule(l).Pin
}

// absent returns the pinned servers that do not run, in port order: those pinned in the menu, those pinned by a rule
// and seen running, and rules with pin for a single port. It leaves out hidden servers.
func (m model) absent() []mark {
	absent := slices.DeleteFunc(slices.Clone(m.pinned), func(p mark) bool { return m.runs(p.Key) })
	for key, s := range m.ruled {
		if m.keeps(s.Listener) && !m.runs(key) && !marked(m.pinned, key) && !marked(m.hidden, key) {
			absent = append(absent, mark{key, s.Port, s.Title})
		}
	}
	for i, r := range m.settings.Rules {
		if !r.Pin || r.Show == settings.ShowNever || r.Port.First == 0 || r.Port.First != r.Port.Last {
			continue
		}
		port := r.Port.First
		runs := func(s server.Server) bool { return s.Port == port && m.settings.Rule(s.Listener) == r }
		known := func(p mark) bool { return p.Port == port }
		marks := slices.Concat(absent, m.pinned, m.hidden)
		if !slices.ContainsFunc(m.servers, runs) && !slices.ContainsFunc(marks, known) {
			key := server.Key{Port: port, Kind: "rule", Program: fmt.Sprint(i)}
			absent = append(absent, mark{key, port, cmp.Or(r.Label, string(r.Project), string(r.Process))})
		}
	}
	slices.SortFunc(absent, func(a, b mark) int { return cmp.Or(cmp.Compare(a.Port, b.Port), a.Key.Compare(b.Key)) })
	return absent
}

func (m model) absentRow(p mark) line {
	text := fmt.Sprintf("○ %d  ", p.Port)
	const end = ", not running"
	if name := owner.Printable(p.Name, maxLabel-len(text)-len(end)); name != "" {
		text += name + end
	} else {
		text += "not running"
	}
	restart := m.commands[p.Key]
	key := rowKey{id: server.ID{Port: p.Port, Container: fmt.Sprint("absent ", p.Key)}}
	return line{kind: branch, label: text, key: key, below: []line{
		{label: offered(restart != "", "Copy restart command"), click: click{action: copyThis, text: restart}},
		m.pinLine(p, true),
	}}
}

// pinLine returns the entry that pins a server in the menu. It is grey if only a rule pins the server.
func (m model) pinLine(p mark, byRule bool) line {
	inMenu := marked(m.pinned, p.Key)
	if byRule && !inMenu {
		return line{kind: check, label: "Pinned by the settings file", checked: true, grey: true}
	}
	return line{kind: check, label: "Pin", checked: inMenu, click: click{action: pin, mark: p}}
}

// hiddenLabel returns the label of the entry that shows a hidden server again.
func hiddenLabel(m mark) string {
	begin := fmt.Sprintf("Show %d  ", m.Port)
	return begin + owner.Printable(m.Name, maxLabel-len(begin))
}
