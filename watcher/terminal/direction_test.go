package terminal

import (
	"bytes"
	"strings"
	"testing"

	"porttray/watcher"
	"porttray/watcher/doctor"
	"porttray/watcher/explain"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// rightToLeft is a machine with server names in right-to-left scripts.
func rightToLeft() watcher.Snapshot {
	var list []server.Listener
	for i, name := range []string{"مشروع-تجريبي", "חנות", "مشروع 3000", "shop חנות", "חנות (ישן)",
		"פרויקט ארוך מאוד שאין לו מקום", "shop"} {
		l := listener(uint16(4001+i), owner.Process{PID: int32(71 + i), Start: 1, Name: "node", Dir: "/srv/קוד/" + name,
			Since: at(9, 0, 0)}, "127.0.0.1")
		l.Facts.Project, l.Facts.Tool = project.Project{Name: name}, facts.Tool{Name: "Vite", Kind: facts.Server}
		list = append(list, l)
	}
	return snapshot(list...)
}

// marked makes the direction marks visible.
func marked(text []byte) string {
	return strings.NewReplacer("\u200e", "^", "\u2068", "‹", "\u2069", "›").Replace(string(text))
}

func TestTableRightToLeft(t *testing.T) {
	list, _ := listing{Snapshot: rightToLeft(), all: true}.choose(port.System{})
	const want = `
PORT  PROJECT        TOOL  PROCESS  PID  ADDRESS    EXPOSURE  SINCE
4001  ^‹مشروع-تجريبي›   Vite  node     71   127.0.0.1  local     09:00
4002  ^‹חנות›           Vite  node     72   127.0.0.1  local     09:00
4003  ^‹مشروع› 3000     Vite  node     73   127.0.0.1  local     09:00
4004  ^shop ‹חנות›      Vite  node     74   127.0.0.1  local     09:00
4005  ^‹חנות› (‹ישן›)     Vite  node     75   127.0.0.1  local     09:00
4006  ^‹פרויקט ארוך› …  Vite  node     76   127.0.0.1  local     09:00
4007  shop           Vite  node     77   127.0.0.1  local     09:00
`
	if got := "\n" + marked(table(list, style{width: 67}, at(9, 30, 0))); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	coloured := table(list, style{width: 67, colour: true}, at(9, 30, 0))
	for _, colour := range []string{"\x1b[1m", "\x1b[2m", "\x1b[0m"} {
		coloured = bytes.ReplaceAll(coloured, []byte(colour), nil)
	}
	if got := "\n" + marked(coloured); got != want {
		t.Errorf("in colour: got %swant %s", got, want)
	}
	// JSON has no marks.
	var b bytes.Buffer
	if err := writeJSON(&b, list); err != nil {
		t.Fatal(err)
	}
	if got := marked(b.Bytes()); strings.ContainsAny(got, "^‹›") || strings.Contains(got, `\u20`) ||
		!strings.Contains(got, `"مشروع 3000"`) {
		t.Errorf("JSON is %s", got)
	}
}

func TestWatchRightToLeft(t *testing.T) {
	s := rightToLeft()
	f := follower{all: true}
	f.write = f.lines
	f.tell(watcher.Update{Snapshot: snapshot()}, at(9, 30, 0))
	events := []watcher.Event{
		{Kind: watcher.Opened, Server: only(s.Listeners[2])},
		{Kind: watcher.Replaced, Server: only(s.Listeners[0]), Before: only(s.Listeners[1])},
	}
	got := marked(f.tell(watcher.Update{Snapshot: s, Events: events}, at(9, 30, 1)))
	const want = `
09:30:01  opened  4003  ^‹مشروع› 3000 · Vite (PID 73) in /srv/‹קוד›/‹مشروع› 3000, 127.0.0.1
09:30:01  replaced  4001  ^‹مشروع-تجريبي› · Vite (PID 71) in /srv/‹קוד›/‹مشروع-تجريبي›, 127.0.0.1; before ‹חנות› · Vite (PID 72) in /srv/‹קוד›/‹חנות›, 127.0.0.1
`
	if "\n"+got != want {
		t.Errorf("got\n%swant%s", got, want)
	}
}

func TestExplanationRightToLeft(t *testing.T) {
	a := explain.Answer{
		Asked: "port 4001", Listens: true, Port: explain.Port{Number: 4001, Class: "registered"}, Trouble: explain.None,
		Listeners: []explain.Holder{{Name: "חנות 2 · Vite", Listener: explain.Listener{Port: 4001, PID: 71,
			Process: "שרת", Directory: "/srv/חנות"},
			Parents: []explain.Process{{PID: 7, Process: "אב"}, {PID: 6, Process: "סב"}}}},
		Advice: []explain.Advice{{Says: "Start חנות again:", Command: "cd /srv/חנות"}},
	}
	got := marked(explanation(a, style{}, at(9, 30, 0)))
	for _, want := range []string{
		"^port 4001: ‹חנות› 2 · Vite\n",
		"Listens   ^‹חנות› 2 · Vite\n",
		"          ^‹שרת› (PID 71)\n",
		"          ^in /srv/‹חנות›\n",
		"          ^started by ‹אב› (7) ← ‹סב› (6)\n",
		"To do     ^Start ‹חנות› again:\n",
		"            cd /srv/חנות\n", // to copy
	} {
		if !strings.Contains(got, want) {
			t.Errorf("without %q:\n%s", want, got)
		}
	}
}

func TestReportRightToLeft(t *testing.T) {
	r := report{Findings: []doctor.Finding{{Topic: "memory", Says: "closed servers are remembered in /home/דנה/3"}}}
	if got := marked(r.text(style{})); !strings.Contains(got,
		"memory  ^closed servers are remembered in /home/‹דנה›/3\n") {
		t.Errorf("got %s", got)
	}
}
