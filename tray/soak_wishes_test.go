//go:build linux && soak

package tray_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// This file has the settings file and the user's choices in the menu, as the test knows them.

// markerPort is the port of a server that never runs. Each settings file pins it under another name. So the menu shows
// the settings file in force.
const markerPort = 7

// rules holds the rules in force.
type rules struct {
	marker string
	list   []rule
}

// A rule is one rule of the settings file. It has only the keys that the test writes.
type rule struct {
	port    uint16 // 0: any
	process string // empty: any; it may end in an asterisk
	project string // empty: any

	show, notify, label string
}

func (r rule) matches(of subject) bool {
	process := r.process == "" || r.process == of.name
	if begin, ok := strings.CutSuffix(r.process, "*"); ok {
		process = strings.HasPrefix(of.name, begin)
	}
	return process && (r.port == 0 || r.port == of.port) && (r.project == "" || r.project == of.project)
}

func (r rule) String() string {
	text := "[[rule]]\n"
	if r.port != 0 {
		text += fmt.Sprintf("port = %d\n", r.port)
	}
	for _, field := range []struct{ key, value string }{
		{"process", r.process}, {"project", r.project}, {"show", r.show}, {"notify", r.notify}, {"label", r.label},
	} {
		if field.value != "" {
			text += fmt.Sprintf("%s = %q\n", field.key, field.value)
		}
	}
	return text
}

// of returns the first rule that matches a subject, or the zero rule.
func (r rules) of(about subject) rule {
	if i := slices.IndexFunc(r.list, func(r rule) bool { return r.matches(about) }); i >= 0 {
		return r.list[i]
	}
	return rule{}
}

// A mark is a pinned or hidden server.
type mark struct {
	key   string
	port  uint16
	title string
}

// markOf returns the key of a server. It stays the same when the process changes.
func markOf(of subject) string { return fmt.Sprintf("%d %s", of.port, of.project) }

// section returns the section of the menu that shows a server.
func (s *soak) section(of subject) string {
	show := s.rules.of(of).show
	switch key := markOf(of); {
	case s.pinned[key] != nil:
		return "main"
	case slices.ContainsFunc(s.hidden, func(m mark) bool { return m.key == key }), show == "never":
		return "hidden"
	case show == "other":
		return "other"
	}
	return "main"
}

// silence returns why there must be no notice about a server, or "" if there may be one.
func (s *soak) silence(of subject) string {
	notify, section := s.rules.of(of).notify, s.section(of)
	switch {
	case of == subject{}:
		return ""
	case s.paused, s.mode == "Off":
		return "notices are off or paused"
	case section == "hidden":
		return "it is hidden"
	case notify == "never":
		return "a rule says never"
	case s.muted[markOf(of)]:
		return "it is muted"
	case s.mode == "All ports", notify == "always":
		return ""
	case s.mode == "Pinned only" && s.pinned[markOf(of)] == nil:
		return "it is not pinned"
	case section == "other":
		return "it is not in the main list"
	}
	return ""
}

// wished applies changed choices of the user to the open changes. Both a notice and silence are then fine.
func (s *soak) wished() {
	for _, c := range s.ledger.changes {
		if !c.done && s.silence(c.of) != c.silent && c.of != (subject{}) {
			c.excuse, c.silent = "the user changed the choices meanwhile", ""
		}
		c.names = ""
	}
	s.sync()
}

func (s *soak) settingsFile() string { return s.path("home/.config/porttray/config.toml") }

func (s *soak) writeSettings(text string) {
	s.t.Helper()
	file := s.settingsFile()
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// newRules returns a few rules of random kinds. Some match running servers, some do not.
func (s *soak) newRules() rules {
	r := rules{marker: fmt.Sprintf("marker%d", s.step)}
	label := fmt.Sprintf("Label %d", s.step)
	project := pick(s.rng, s.projects).name
	var port uint16 = 9
	if len(s.servers) > 0 {
		port = pick(s.rng, s.servers).head()
	}
	kinds := []rule{
		{port: port, label: label},
		{port: port, show: "never"},
		{port: port, notify: "never"},
		{process: "web", label: label},
		{process: "w*", show: "other"},
		{process: forwarder, label: label},
		{project: project, notify: "never"},
		{project: project, show: "other"},
		{project: project, show: "other", notify: "always"},
		{project: project, process: "backend", label: label, notify: "always"},
	}
	for range 1 + s.rng.IntN(3) {
		r.list = append(r.list, pick(s.rng, kinds))
	}
	return r
}

// stepSettings writes new settings.
func (s *soak) stepSettings() string {
	s.rules, s.wrong = s.newRules(), ""
	text := "# written by the soak test\n"
	if s.rng.IntN(2) == 0 {
		text += "interval = \"250ms\"\n"
	}
	for _, r := range append(slices.Clone(s.rules.list), rule{port: markerPort, label: s.rules.marker}) {
		text += r.String()
	}
	s.writeSettings(text + "pin = true\n")
	s.wished()
	return fmt.Sprintf("settings: %+v", s.rules)
}

// stepWrongSettings writes a file with an error, so that the old settings stay in force.
func (s *soak) stepWrongSettings() string {
	s.wrong = fmt.Sprintf("%q", fmt.Sprintf("wrong%d", s.step))
	s.enter(&change{may: []what{isWrong}, must: true})
	s.writeSettings("[[rule]]\nport = 3000\n" + strings.Trim(s.wrong, `"`) + " = true\n")
	s.sync()
	return "wrong settings"
}

// stepNoSettings removes the settings file.
func (s *soak) stepNoSettings() string {
	if s.rules.marker == "" && s.wrong == "" {
		return ""
	}
	s.rules, s.wrong = rules{}, ""
	if err := os.Remove(s.settingsFile()); err != nil {
		s.t.Fatal(err)
	}
	s.wished()
	return "no settings"
}

// stepMode chooses a mode under Notifications.
func (s *soak) stepMode() string {
	modes := []string{"All ports", "My servers", "My servers", "Pinned only", "Off"}
	s.chooseMode(pick(s.rng, modes))
	return "mode " + s.mode
}

func (s *soak) chooseMode(mode string) {
	s.click("Notifications", mode)
	s.mode = mode
	s.wished()
}

// stepPause pauses or resumes notices.
func (s *soak) stepPause() string {
	entry := "Pause for an hour"
	if s.paused {
		entry = "Resume (paused until"
	}
	s.click("Notifications", entry)
	s.paused = !s.paused
	s.wished()
	return fmt.Sprintf("paused: %v", s.paused)
}

// plain returns the servers with a row of their own, so that the test can choose its entries.
func (s *soak) plain() []*testServer {
	return slices.DeleteFunc(slices.Clone(s.servers), func(v *testServer) bool {
		return v.reuse ||
			s.section(v.subject()) == "hidden"
	})
}

// stepMute mutes or unmutes a server.
func (s *soak) stepMute() string {
	servers := s.plain()
	if len(servers) == 0 {
		return ""
	}
	v := pick(s.rng, servers)
	key := markOf(v.subject())
	s.clickRow(v, "Mute notifications")
	if s.muted[key] {
		delete(s.muted, key)
	} else {
		s.muted[key] = true
	}
	s.wished()
	return fmt.Sprintf("mute %v: %v", v, s.muted[key])
}

// maxMarked is the largest number of pinned servers, and of hidden ones.
const maxMarked = 4

// stepPin pins a server.
func (s *soak) stepPin() string {
	servers := slices.DeleteFunc(s.plain(), func(v *testServer) bool { return s.pinned[markOf(v.subject())] != nil })
	if len(servers) == 0 || len(s.pinned) >= maxMarked {
		return ""
	}
	v := pick(s.rng, servers)
	s.clickRow(v, "Pin")
	key := markOf(v.subject())
	s.pinned[key] = &mark{key: key, port: v.head()}
	s.wished()
	return fmt.Sprintf("pin %v", v)
}

// stepUnpin unpins a server, running or not.
func (s *soak) stepUnpin() string {
	if len(s.pinned) == 0 {
		return ""
	}
	key := s.pinnedKeys()[s.rng.IntN(len(s.pinned))]
	s.unpin(key)
	return "unpin " + key
}

func (s *soak) unpin(key string) {
	m := s.pinned[key]
	menu := s.item.menu()
	row := rowLabelled(menu, fmt.Sprintf("○ %d  ", m.port))
	if row == nil {
		row = rowLabelled(menu, fmt.Sprintf("%d  ", m.port))
	}
	s.clickNode(row.find("Pin"))
	delete(s.pinned, key)
	s.wished()
}

// stepHide hides a server.
func (s *soak) stepHide() string {
	servers := s.plain()
	if len(servers) == 0 || len(s.hidden) >= maxMarked {
		return ""
	}
	v := pick(s.rng, servers)
	of := v.subject()
	title := s.titleOf(v)
	s.clickRow(v, "Hide")
	s.hidden = append(s.hidden, mark{markOf(of), of.port, title})
	delete(s.pinned, markOf(of))
	s.wished()
	return fmt.Sprintf("hide %v", v)
}

// stepShow shows a hidden server again.
func (s *soak) stepShow() string {
	if len(s.hidden) == 0 {
		return ""
	}
	m := s.hidden[s.rng.IntN(len(s.hidden))]
	s.show(m)
	return "show " + m.key
}

func (s *soak) show(m mark) {
	s.click("Other", "Hidden", fmt.Sprintf("Show %d ", m.port))
	s.hidden = slices.DeleteFunc(s.hidden, func(n mark) bool { return n == m })
	s.wished()
}
