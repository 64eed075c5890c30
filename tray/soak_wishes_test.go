//go:build linux && soak

package tray_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// These are what the person wants: the settings file, and the choices in the menu, as the test knows them.

// markerPort is the port of a server that never runs. A rule of each settings file pins it under another name, so that the menu shows
// which file is in force.
const markerPort = 7

// rules are what is in force of the settings file.
type rules struct {
	marker string
	list   []rule
}

// A rule is one of them, as far as the test writes such.
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

// of returns the first rule that is about something, or one that says nothing.
func (r rules) of(about subject) rule {
	if i := slices.IndexFunc(r.list, func(r rule) bool { return r.matches(about) }); i >= 0 {
		return r.list[i]
	}
	return rule{}
}

// A mark is a server that was pinned or hidden.
type mark struct {
	key   string
	port  uint16
	title string
}

// markOf is what a server is known by, whatever process it is.
func markOf(of subject) string { return fmt.Sprintf("%d %s", of.port, of.project) }

// section returns where a server is shown.
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

// silence returns why nothing is to be told of a server, or nothing.
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

// wished takes in that the person wants something else from now on. What is under way may be told as before, or not.
func (s *soak) wished() {
	for _, c := range s.ledger.changes {
		if !c.done && s.silence(c.of) != c.silent && c.of != (subject{}) {
			c.excuse, c.silent = "the person wanted it otherwise meanwhile", ""
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

// newRules returns rules of all kinds, about what runs and what does not.
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

// stepSettings writes other settings.
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

// stepWrongSettings writes what makes no sense, so that the settings stay as they are.
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

// stepMode has other things told.
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

// stepPause pauses notices, or goes on with them.
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

// plain returns the servers that have a row of their own to choose something in.
func (s *soak) plain() []*server {
	return slices.DeleteFunc(slices.Clone(s.servers), func(v *server) bool { return v.reuse || s.section(v.subject()) == "hidden" })
}

// stepMute mutes a server, or no longer.
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

// maxMarked is how many servers are pinned or hidden at once.
const maxMarked = 4

// stepPin pins a server.
func (s *soak) stepPin() string {
	servers := slices.DeleteFunc(s.plain(), func(v *server) bool { return s.pinned[markOf(v.subject())] != nil })
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

// stepUnpin lets a pinned server go, whether it runs or not.
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

// stepShow shows a hidden server again, if it runs still.
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
