package tray

import (
	"fmt"
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"

	"porttray/watcher/server"
)

func TestShown(t *testing.T) {
	about := func(key string, port uint16) notice {
		return notice{key: key, open: port > 0, id: server.ID{Port: port}}
	}
	three := func() *shown {
		s := &shown{}
		s.begin(":1.5", abilities{})
		s.add(1, about("3000", 3000), 10)
		s.add(2, about("4000", 0), 20)
		s.add(3, about("", 5000), 30)
		return s
	}
	for _, c := range []struct {
		name   string
		change func(*shown)
		latest uint32 // the one about 3000
		clicks string // the ports that clicks on 1 to 4 open
	}{
		{"nothing", func(s *shown) {}, 1, "3000 - 5000 -"},
		{"the same service", func(s *shown) { s.begin(":1.5", abilities{}) }, 1, "3000 - 5000 -"},
		{"another service", func(s *shown) { s.begin(":1.6", abilities{}) }, 0, "- - - -"},
		{"the service has gone", func(s *shown) { s.end(":1.5") }, 0, "- - - -"},
		{"an earlier one has gone", func(s *shown) { s.end(":1.4") }, 1, "3000 - 5000 -"},
		{"closed", func(s *shown) { s.closed(1, 11) }, 0, "- - 5000 -"},
		{"closed before it was replaced", func(s *shown) { s.closed(1, 9) }, 1, "3000 - 5000 -"},
		{"another closed", func(s *shown) { s.closed(7, 11) }, 1, "3000 - 5000 -"},
		{"replaced", func(s *shown) { s.add(1, about("3000", 0), 40) }, 1, "- - 5000 -"},
		{"shown beside the old one", func(s *shown) { s.add(4, about("3000", 3000), 40) }, 4, "3000 - 5000 3000"},
		{"clicked", func(s *shown) { s.click(1) }, 1, "- - 5000 -"},
		{"many", func(s *shown) {
			for i := range uint32(maxShown - 2) {
				s.add(100+i, notice{}, 40)
			}
		}, 0, "- - 5000 -"},
	} {
		s := three()
		c.change(s)
		if got := s.latest("3000"); got != c.latest {
			t.Errorf("%s: a new notice replaces %d, want %d", c.name, got, c.latest)
		}
		if got := s.latest(""); got != 0 {
			t.Errorf("%s: a notice about nothing replaces %d", c.name, got)
		}
		var clicks []string
		for number := range uint32(4) {
			text := "-"
			if id, ok := s.click(number + 1); ok {
				text = fmt.Sprint(id.Port)
			}
			clicks = append(clicks, text)
		}
		if got := fmt.Sprint(clicks); got != "["+c.clicks+"]" {
			t.Errorf("%s: clicks open %s, want %s", c.name, got, c.clicks)
		}
		if len(s.notices) > maxShown {
			t.Errorf("%s: %d notices are remembered", c.name, len(s.notices))
		}
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		open         bool
		capabilities []string
		body         string
		actions      []string
	}{
		{true, nil, "a <b>", []string{}},
		{false, []string{"actions", "body-markup"}, "a &lt;b&gt;", []string{}},
		{true, []string{"actions"}, "a <b>", []string{"default", "", "open", "Open"}},
	} {
		args := request(notice{title: "t", body: "a <b>", open: c.open}, 7, abilitiesOf(c.capabilities))
		if got := args[4]; got != c.body {
			t.Errorf("%v: the body is %q, want %q", c.capabilities, got, c.body)
		}
		if got := args[5].([]string); got == nil || !slices.Equal(got, c.actions) {
			t.Errorf("open %v, %v: the actions are %#v, want %q", c.open, c.capabilities, got, c.actions)
		}
		if args[1] != uint32(7) {
			t.Errorf("it replaces %v, want 7", args[1])
		}
	}
}

// The connection never blocks on signals of other programs. If the queue is full, a signal is dropped.
func TestSignalsAreBounded(t *testing.T) {
	s := &session{hosts: make(chan struct{}, 1), heard: make(chan func(), 1), clicked: make(chan server.ID, 1),
		shown: shown{by: ":1.5"}}
	s.service.Store(":1.5")
	hosts := []string{nameOwnerChanged, watcherName + ".StatusNotifierHostRegistered"}
	for _, name := range append(hosts, actionInvoked, noticeClosed, "a.b", "") {
		for _, sender := range []string{busName, ":1.5", ""} {
			for _, body := range [][]any{nil, {1}, {"", "", ""}, {watcherName, "", ":1.1"}, {notifierName, ":1.5", ""},
				{nil, nil, nil}, {uint32(1), nil}} {
				for range 3 {
					s.DeliverSignal("", "", &dbus.Signal{Sender: sender, Name: name, Body: body})
				}
				select {
				case take := <-s.heard:
					take()
				default:
				}
			}
		}
	}
	if len(s.clicked) > 0 {
		t.Error("a signal counts as a click on a notice that was never shown")
	}
}

// Signals of other programs cannot crowd out the arrival of a tray host, and only the bus can report an arrival.
func TestArrivalIsNotLost(t *testing.T) {
	s := &session{hosts: make(chan struct{}, 1), heard: make(chan func(), 1)}
	shout := func() {
		for range 100 {
			s.DeliverSignal("", "", &dbus.Signal{Sender: ":1.9", Name: watcherName + ".StatusNotifierHostRegistered"})
			s.DeliverSignal("", "", &dbus.Signal{Sender: ":1.9", Name: nameOwnerChanged,
				Body: []any{watcherName, "", ":1.9"}})
		}
	}
	if shout(); s.arrived.Load() {
		t.Error("any program can report the arrival of a tray host")
	}
	s.DeliverSignal("", "", &dbus.Signal{Sender: busName, Name: nameOwnerChanged, Body: []any{watcherName, "", ":1.5"}})
	shout()
	if len(s.hosts) != 1 || !s.arrived.Load() {
		t.Error("the arrival of a tray host is lost")
	}
}

// Signals of other programs about notices cannot crowd out a click.
func TestClickIsNotLost(t *testing.T) {
	want := server.ID{Port: 7}
	s := &session{heard: make(chan func(), 1), clicked: make(chan server.ID, 1)}
	s.shown.begin(":1.5", abilities{})
	s.shown.add(3, notice{open: true, id: want}, 1)
	s.service.Store(":1.5")
	for _, sender := range []string{":1.9", "", busName} {
		for _, name := range []string{actionInvoked, noticeClosed} {
			s.DeliverSignal("", "", &dbus.Signal{Sender: sender, Name: name, Body: []any{uint32(3), "default"}})
		}
	}
	s.DeliverSignal("", "", &dbus.Signal{Sender: ":1.9", Name: nameOwnerChanged, Body: []any{notifierName, ":1.5", ""}})
	s.DeliverSignal("", "", &dbus.Signal{Sender: ":1.5", Name: actionInvoked, Body: []any{uint32(3), "default"}})
	if len(s.heard) != 1 {
		t.Fatal("the signal of the click was dropped")
	}
	(<-s.heard)()
	if len(s.clicked) != 1 || <-s.clicked != want {
		t.Error("the click is lost")
	}
}
