//go:build linux

package tray_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// These tests are about notification services that break or lie. Later notifications reach the next service, and
// failures leave nothing behind. A lying service can trigger only offered actions.

// A service that ends during a call loses that notification, and leaves nothing behind.
func TestServiceEndsMidCall(t *testing.T) {
	parallel(t)
	var goroutines [2]int
	for i, rounds := range [2]int{2, 25} {
		d := newDesktop(t)
		d.needNetwork()
		s := d.startTrayWith(d.startNotifier(notifierHangs))
		for range rounds {
			about := s.item.menu().find("Settings", "About porttray")
			// One click is enough, below the limit on clicks.
			if !poll(patience, func() bool { s.item.click(about); return len(s.notes.all()) > 0 }) {
				t.Fatal("the service is not asked")
			}
			s.notes.conn.Close()
			d.free(notifierName)
			s.notes = d.startNotifier(notifierHangs)
		}
		s.notes.conn.Close()
		d.free(notifierName)
		s.notes = d.startNotifier(notifierShows)
		v := d.startVictim(victimOptions{}, "127.0.0.1:0")
		s.notes.waitFor(patience, func(n note) bool {
			return strings.HasPrefix(n.summary, fmt.Sprintf("victim (:%d) is up", v.ports[0]))
		})
		s.item.settle()
		goroutines[i] = s.goroutines()
	}
	t.Logf("goroutines after 2 and 25 services: %v", goroutines)
	if goroutines[1] > goroutines[0]+8 {
		t.Error("some are left")
	}
}

// startLiar starts a notification service with these methods. They may return anything.
func (d *testDesktop) startLiar(methods map[string]any) *dbus.Conn {
	d.t.Helper()
	conn := d.connect(func(*dbus.Signal) {})
	if err := conn.ExportMethodTable(methods, notifierPath, notifierName); err != nil {
		d.t.Fatal(err)
	}
	d.own(conn, notifierName)
	return conn
}

// After any answer of a service the tray runs on, and the next correct service gets the new notifications.
func TestServiceAnswersNonsense(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTrayWith(nil)
	can := func() ([]string, *dbus.Error) { return []string{"body", "actions"}, nil }
	type hints = map[string]dbus.Variant
	notify := func(answer ...any) any {
		return func(string, uint32, string, string, string, []string, hints, int32) (dbus.Variant, *dbus.Error) {
			return dbus.MakeVariant(answer), nil
		}
	}
	long := strings.Repeat("x", 1<<20)
	for name, methods := range map[string]map[string]any{
		"nothing at all":          {},
		"a word as capabilities":  {"GetCapabilities": func() (string, *dbus.Error) { return long, nil }},
		"numbers as capabilities": {"GetCapabilities": func() ([]int32, *dbus.Error) { return []int32{1}, nil }},
		"no capabilities":         {"GetCapabilities": func() *dbus.Error { return nil }},
		"too many capabilities": {"GetCapabilities": func() ([]string, *dbus.Error) {
			return slices.Repeat([]string{long}, 8), nil
		}},
		"a variant as number": {"GetCapabilities": can, "Notify": notify(uint32(1))},
		"a long error": {"GetCapabilities": func() *dbus.Error {
			return dbus.NewError("a.b", []any{long, hints{"x": dbus.MakeVariant(7)}})
		}},
		"an error without a name": {"GetCapabilities": can, "Notify": func() *dbus.Error { return &dbus.Error{} }},
		"an error with no text": {"GetCapabilities": can,
			"Notify": func(string, uint32, string, string, string, []string, hints, int32) *dbus.Error {
				return dbus.NewError("a.b", []any{[]int32{1}})
			}},
		"nothing as number": {"GetCapabilities": can,
			"Notify": func(string, uint32, string, string, string, []string, hints, int32) *dbus.Error { return nil }},
		"a word as number": {"GetCapabilities": can,
			"Notify": func(string, uint32, string, string, string, []string, hints, int32) (string, *dbus.Error) {
				return long, nil
			}},
		"a negative number": {"GetCapabilities": can,
			"Notify": func(string, uint32, string, string, string, []string, hints, int32) (int32, *dbus.Error) {
				return -1, nil
			}},
		"no number": {"GetCapabilities": can,
			"Notify": func(string, uint32, string, string, string, []string, hints, int32) (uint32, *dbus.Error) {
				return 0, nil
			}},
		"the greatest number": {"GetCapabilities": can,
			"Notify": func(string, uint32, string, string, string, []string, hints, int32) (uint32, *dbus.Error) {
				return 1<<32 - 1, nil
			}},
	} {
		liar := d.startLiar(methods)
		s.item.click(s.item.menu().find("Settings", "About porttray"))
		s.item.settle()
		if s.tray.exited() {
			t.Fatalf("%s: the program ended:\n%s", name, s.tray.output())
		}
		leave(liar, notifierName)
	}
	s.notes = d.startNotifier(notifierKeeps)
	v, note := s.told()
	s.notes.click(note, "default")
	s.opens(v)
}

// A service can trigger each offered action once, and nothing else. It may reuse numbers and report any click.
func TestServiceThatLies(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	innocent := d.startVictim(victimOptions{name: "innocent"}, "127.0.0.1:0")
	s := d.startTrayWith(nil)
	s.row(innocent, innocent.ports[0])
	const number = uint32(7) // the number of every notification
	var told atomic.Int32
	var sender atomic.Value
	liar := d.startLiar(map[string]any{
		"GetCapabilities": func() ([]string, *dbus.Error) { return []string{"actions", "body"}, nil },
		"Notify": func(_ string, _ uint32, _, summary, _ string, actions []string, _ map[string]dbus.Variant,
			_ int32, from dbus.Sender) (uint32, *dbus.Error) {
			sender.Store(string(from))
			if strings.HasSuffix(summary, " is up") && len(actions) > 0 {
				told.Add(1)
			}
			return number, nil
		},
	})
	up := func() *victim {
		t.Helper()
		n, v := told.Load(), d.startVictim(victimOptions{}, "127.0.0.1:0")
		if !poll(patience, func() bool { return told.Load() > n }) {
			t.Fatal("the service hears of nothing")
		}
		return v
	}
	first, second := up(), up()
	say := func(member string, body ...any) { sendSignal(liar, sender.Load().(string), member, body...) }
	port := fmt.Sprint(innocent.ports[0])
	for _, key := range []string{"stop", "kill", "Stop", "open ", "OPEN", "default ", "default\n", "http://example.com",
		"file:///etc/passwd", "javascript:alert(1)", port,
		"open " + port, "open:http://localhost:" + port, "$(touch " + d.path("injected") + ")",
		"`touch " + d.path("injected") + "`", "\x1b]8;;http://example.com\a"} {
		say("ActionInvoked", number, key)
		say("ActivationToken", number, key)
	}
	for _, n := range []uint32{0, 1, 6, 8, 1<<32 - 1} { // numbers that it never gave out
		say("ActionInvoked", n, "default")
		say("ActionInvoked", n, "open")
		say("NotificationClosed", n, uint32(2))
		say("ActivationToken", n, "token; xdg-open http://example.com")
	}
	if !stays(time.Second, func() bool { return len(s.urls()) == 0 }) {
		t.Errorf("what was never offered opened %q", s.urls())
	}
	for range 50 {
		say("ActionInvoked", number, "open")
	}
	// Both notifications got the same number, so it means the second.
	s.opens(second)
	say("NotificationClosed", number, uint32(2))
	say("ActionInvoked", number, "open")
	third := up()
	for range 50 {
		say("ActivationToken", number, "--new-window=http://example.com")
		say("ActionInvoked", number, "default")
	}
	s.opens(second, third)
	if !stays(time.Second, func() bool { return len(s.urls()) == 2 }) {
		t.Errorf("the browser got %q", s.urls())
	}
	for _, v := range []*victim{innocent, first, second, third} {
		if v.exited() {
			t.Errorf("%s was ended", v.who())
		}
	}
	if left := d.file("injected"); left {
		t.Error("what it said was run")
	}
}
