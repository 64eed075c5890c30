//go:build linux

package tray_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// These tests are about notifications on the screen. A click opens the server, newer ones replace older ones, and only
// the service that shows them can act on them.

// startKeeping starts the program with a service that keeps notifications on the screen.
func startKeeping(t *testing.T) *session {
	d := newDesktop(t)
	d.needNetwork() // without it, other ports may share the notification
	return d.startTrayWith(d.startNotifier(notifierKeeps))
}

// told starts a server and waits for the notification about it.
func (s *session) told() (*victim, note) {
	s.t.Helper()
	v := s.startVictim(victimOptions{}, "127.0.0.1:0")
	s.row(v, v.ports[0])
	return v, s.notes.waitFor(patience, func(n note) bool {
		return n.summary == fmt.Sprintf("victim (:%d) is up", v.ports[0])
	})
}

// opens waits for the browser, and makes sure that it got exactly the addresses of these servers so far.
func (s *session) opens(servers ...*victim) {
	s.t.Helper()
	var want []string
	for _, v := range servers {
		want = append(want, fmt.Sprintf("http://localhost:%d", v.ports[0]))
	}
	if !poll(patience, func() bool { return len(s.urls()) >= len(want) }) || !slices.Equal(s.urls(), want) {
		s.t.Errorf("the browser got %q, want %q", s.urls(), want)
	}
}

func TestNoticeOpensServer(t *testing.T) {
	parallel(t)
	s := startKeeping(t)
	first, note := s.told()
	if want := []string{"default", "", "open", "Open"}; !slices.Equal(note.actions, want) {
		t.Errorf("the actions are %q, want %q", note.actions, want)
	}
	if note.hints["suppress-sound"] != true {
		t.Error("a notification may make a sound")
	}
	s.notes.click(note, "default")
	s.opens(first)
	s.notes.click(note, "default") // only the first click counts

	second, note := s.told()
	s.notes.click(note, "settings") // this action was not offered
	s.notes.click(note, "open")
	s.opens(first, second)
}

func TestNoticeOfServerThatIsGone(t *testing.T) {
	parallel(t)
	s := startKeeping(t)
	v, note := s.told()
	s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
	s.noRow(v.ports[0])
	s.notes.click(note, "default")
	s.hear(fmt.Sprintf("Port %d: nothing was opened or copied", v.ports[0]), "The server no longer listens there")
	s.opens()
}

func TestNoticeGivesWay(t *testing.T) {
	parallel(t)
	for _, test := range []struct {
		name     string
		between  func(*session, note)
		replaced bool
	}{
		{"at once", func(*session, note) {}, true},
		{"after it was closed", func(s *session, n note) { s.notes.closeNote(n.id) }, false},
		{"after another was closed", func(s *session, n note) {
			sendSignal(s.notes.conn, n.sender, "NotificationClosed", n.id+1, uint32(2))
		}, true},
		{"after a restart of the service", func(s *session, n note) {
			s.notes.stop()
			s.notes = s.startNotifier(notifierKeeps)
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			parallel(t)
			s := startKeeping(t)
			v, first := s.told()
			test.between(s, first)
			v.signal(os.Kill)
			second := s.notes.waitFor(patience, func(n note) bool {
				return strings.HasPrefix(n.summary, fmt.Sprintf("victim (:%d) crashed", v.ports[0]))
			})
			want := uint32(0)
			if test.replaced {
				want = first.id
			}
			if second.replaces != want {
				t.Errorf("the second notification replaces %d, want %d", second.replaces, want)
			}
			if len(second.actions) > 0 {
				t.Errorf("a server that is gone can be opened: %q", second.actions)
			}
		})
	}
}

// Any program can forge the signals of the service, and the service itself may be strange.
func TestHostileNoticeSignals(t *testing.T) {
	parallel(t)
	s := startKeeping(t)
	first, note := s.told()
	forger := s.connect(func(*dbus.Signal) {})
	for _, to := range []string{note.sender, ""} {
		sendSignal(forger, to, "ActionInvoked", note.id, "default")
		sendSignal(forger, to, "NotificationClosed", note.id, uint32(1))
		sendSignal(s.notes.conn, to, "ActionInvoked", note.id+7, "default") // a notification of another program
		for _, from := range []*dbus.Conn{forger, s.notes.conn} {
			for _, member := range []string{"ActionInvoked", "NotificationClosed"} {
				for _, body := range [][]any{{}, {note.id}, {"x"}, {"default", note.id}, {int32(-1), "open"},
					{note.id, ""}, {note.id, []string{"open"}},
					{note.id, strings.Repeat("x", 1<<20)}, {dbus.MakeVariant(note.id), dbus.MakeVariant("open")},
					{note.id, "open", note.id},
					{map[string]uint32{"open": note.id}},
					{struct{ A, B any }{dbus.MakeVariant(1), dbus.MakeVariant("x")}}} {
					sendSignal(from, to, member, body...)
				}
			}
		}
	}
	// The bus passes all of this on before any later message.
	for _, from := range []*dbus.Conn{forger, s.notes.conn} {
		if _, err := call(from.BusObject(), "org.freedesktop.DBus.GetId"); err != nil {
			t.Fatal(err)
		}
	}
	second, later := s.told()
	s.notes.click(later, "default")
	s.opens(second)
	s.notes.click(note, "default") // the notification still works
	s.opens(second, first)
}

// A flood of signals takes memory only for a while, and costs notifications at most.
func TestFloodOfNoticeSignals(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTrayWith(d.startNotifier(notifierHangs))
	s.item.click(s.item.menu().find("Settings", "About porttray"))
	n := s.notes.waitFor(patience, func(note) bool { return true })
	before := s.tray.load(t)
	forger := d.connect(func(*dbus.Signal) {})
	for _, from := range []*dbus.Conn{forger, s.notes.conn} { // the service itself can send a flood
		for i := range uint32(20_000) {
			sendSignal(from, n.sender, "NotificationClosed", n.id+1+i, uint32(1))
		}
		// The answer proves that the program has read all signals.
		if _, err := call(from.Object(n.sender, "/"), "org.freedesktop.DBus.Peer.Ping"); err != nil {
			t.Fatal(err)
		}
	}
	var after load
	if !stays(3*time.Second, func() bool {
		after = s.tray.load(t)
		return after.memory <= before.memory+12e6 && after.tasks <= before.tasks+10
	}) {
		t.Errorf("before the flood it had %v, and then %v", before, after)
	}
	s.notes.stop()
	s.notes = d.startNotifier(notifierKeeps)
	v, note := s.told()
	s.notes.click(note, "open")
	s.opens(v)
}
