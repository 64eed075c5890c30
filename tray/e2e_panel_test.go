//go:build linux

package tray_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// These tests are about panels that crash often, replace each other, run in pairs, or never stop asking and clicking.

// matches returns the numbers of match rules and names of all connections to the bus together.
func (d *testDesktop) matches() map[string]uint32 {
	d.t.Helper()
	conn := d.connect(func(*dbus.Signal) {})
	defer conn.Close()
	reply, err := call(conn.BusObject(), "org.freedesktop.DBus.Debug.Stats.GetStats")
	if err != nil {
		d.t.Fatal(err)
	}
	found := map[string]uint32{}
	for key, v := range reply[0].(map[string]dbus.Variant) {
		if n, ok := v.Value().(uint32); ok &&
			slices.Contains([]string{"MatchRules", "BusNames", "ActiveConnections"}, key) {
			found[key] = n
		}
	}
	return found
}

// A panel that crashes and returns gets the icon and the whole menu exactly once. Crashes leave nothing behind.
func TestPanelDiesAgainAndAgain(t *testing.T) {
	parallel(t)
	const rounds = 50
	var goroutines [2]int
	for i, rounds := range [2]int{3, rounds} {
		d := newDesktop(t)
		d.needNetwork()
		v := d.startVictim(victimOptions{}, "127.0.0.1:0", "127.0.0.1:0")
		s := d.startTray()
		s.row(v, v.ports[0])
		whole, sender := s.item.menu().String(), s.item.sender
		var before load
		var rules map[string]uint32
		for round := range rounds {
			s.host.crash()
			s.host = d.startHost()
			s.item = s.host.item(patience)
			if menu := s.item.menu().String(); menu != whole {
				t.Fatalf("round %d: the menu is\n%swant\n%s", round, menu, whole)
			}
			if about := len(s.notes.all()); round%2 == 0 {
				s.item.click(s.item.menu().find("Settings", "About porttray"))
				if !poll(patience, func() bool { return len(s.notes.all()) > about }) {
					t.Fatalf("round %d: a click does nothing", round)
				}
			}
			if round%8 == 2 {
				s.item.settle()
			}
			if items := s.host.shown(); len(items) != 1 || items[0].sender != sender {
				t.Fatalf("round %d: there are %d icons in the tray, want the one of %s", round, len(items), sender)
			}
			if n := s.host.registrations(); n != 1 {
				t.Errorf("round %d: the icon asked %d times to be shown", round, n)
			}
			if round == 2 {
				before, rules = s.tray.load(t), d.matches()
			}
		}
		after := s.tray.loadWithin(t, before.files)
		t.Logf("after 3 deaths: %v, %v; after %d: %v, %v", before, rules, rounds, after, d.matches())
		if after.files > before.files || after.tasks > before.tasks+5 || after.memory > before.memory+20e6 {
			t.Error("the deaths left too much")
		}
		if !poll(patience, func() bool { // the bus may still have to notice the last death
			left := d.matches()
			return !slices.ContainsFunc(slices.Collect(maps.Keys(left)),
				func(what string) bool { return left[what] > rules[what] })
		}) {
			t.Errorf("on the bus there were %v, and now are %v", rules, d.matches())
		}
		goroutines[i] = s.goroutines()
	}
	t.Logf("goroutines after 3 and %d deaths: %v", rounds, goroutines)
	if goroutines[1] > goroutines[0]+5 {
		t.Error("some are left")
	}
}

// Another tray host takes over the name without a gap.
func TestPanelMakesWay(t *testing.T) {
	parallel(t)
	for name, over := range map[string]func(d *testDesktop, old, next *host){
		"from the queue": func(d *testDesktop, old, next *host) {
			request(d, next, 0, dbus.RequestNameReplyInQueue)
			old.stop()
		},
		"by force": func(d *testDesktop, old, next *host) {
			request(d, old, dbus.NameFlagAllowReplacement, dbus.RequestNameReplyAlreadyOwner)
			request(d, next, dbus.NameFlagReplaceExisting, dbus.RequestNameReplyPrimaryOwner)
		},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			d := newDesktop(t)
			v := d.startVictim(victimOptions{}, "127.0.0.1:0")
			s := d.startTray()
			s.row(v, v.ports[0])
			sender, next := s.item.sender, d.newHost()
			over(d, s.host, next)
			s.host = next
			s.item = s.host.item(patience)
			s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
			s.noRow(v.ports[0])
			s.item.settle()
			if items := s.host.shown(); len(items) != 1 || items[0].sender != sender || s.host.registrations() != 1 {
				t.Errorf("%d icons after %d registrations, want the one of %s",
					len(items), s.host.registrations(), sender)
			}
		})
	}
}

// request asks the bus for the name of the tray host and checks the answer.
func request(d *testDesktop, h *host, flags dbus.RequestNameFlags, want dbus.RequestNameReply) {
	d.t.Helper()
	reply, err := call(h.conn.BusObject(), "org.freedesktop.DBus.RequestName", hostName, uint32(flags))
	if err != nil || reply[0] != uint32(want) {
		d.t.Fatalf("the bus says %v, %v, want %v", reply, err, want)
	}
}

// Two panels show the same icon at the same time, and both may click.
func TestTwoPanels(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	first, second := d.startVictim(victimOptions{}, "127.0.0.1:0"), d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startTray()
	other := s.item.at(d.newHost())
	s.row(first, first.ports[0])
	s.row(second, second.ports[0])
	if a, b := s.item.menu().String(), other.menu().String(); a != b {
		t.Errorf("one panel shows\n%sthe other one\n%s", a, b)
	}
	stops := []*node{s.row(first, first.ports[0]).find("Stop "), s.row(second, second.ports[0]).find("Stop ")}
	s.item.opened()
	other.opened()
	s.item.click(stops[0])
	s.item.event(0, "closed")
	other.click(stops[1])
	other.event(0, "closed")
	for _, at := range []*item{other, s.item} {
		at.waitFor("empty menu", patience, func(menu *node) bool { return len(menu.rows()) == 0 })
	}
	// Both panels click both entries again, too late.
	for _, at := range []*item{other, s.item} {
		for _, stop := range stops {
			at.clickID(stop.id)
		}
	}
	for _, v := range []*victim{first, second} {
		s.notes.waitFor(patience, func(n note) bool {
			return n.summary == fmt.Sprintf("Port %d: nothing was stopped", v.ports[0])
		})
	}
}

// A panel that endlessly asks for known and unknown items gets answers. Other panels still get theirs.
func TestPanelAsksWithoutEnd(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	many := d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, 40)...)
	s := d.startTray()
	s.redrawn("40 servers")
	before := s.tray.load(t)
	menu := s.item.menuPath()
	stop, asked := make(chan struct{}), make(chan int, 16)
	var wg sync.WaitGroup
	defer wg.Wait()
	stopped := sync.OnceFunc(func() { close(stop) })
	defer stopped()
	asks := questions(s.item.path, menu)
	const panels = 4
	for at := range panels {
		conn := d.connect(func(*dbus.Signal) {})
		wg.Go(func() {
			n := 0
			for ; ; n++ {
				select {
				case <-stop:
					asked <- n
					return
				default:
				}
				q := asks[(n+at*7)%len(asks)]
				if obj := conn.Object(s.item.sender, q.path); q.mute {
					obj.Go(q.method, dbus.FlagNoReplyExpected, nil, q.args...)
				} else {
					call(obj, q.method, q.args...)
				}
			}
		})
	}
	memory := before.memory
	for range 3 {
		v := d.startVictim(victimOptions{}, "127.0.0.1:0")
		s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
		s.noRow(v.ports[0])
		memory = max(memory, s.tray.load(t).memory)
	}
	stopped()
	n := 0
	for range panels {
		n += <-asked
	}
	s.item.settle()
	after := s.tray.load(t)
	t.Logf("%d questions: before %v, at most %.1f MB, after %v", n, before, float64(memory)/1e6, after)
	if memory > before.memory+150e6 || after.files > before.files+5 || after.tasks > before.tasks+10 {
		t.Error("the questions cost too much")
	}
	s.redrawn("40 servers")
	if rows := s.item.menu().rows(); len(rows) != len(many.ports) {
		t.Errorf("there are %d rows, want %d", len(rows), len(many.ports))
	}
	s.item.click(s.item.menu().find("Quit"))
	s.mustEnd()
}

// A question is a call to the icon or its menu.
type question struct {
	path   dbus.ObjectPath
	method string
	args   []any
	mute   bool // systray has no answer to it
}

// questions returns valid and invalid calls from a panel.
func questions(item, menu dbus.ObjectPath) []question {
	const properties = "org.freedesktop.DBus.Properties."
	ids := make([]int32, 5000)
	for i := range ids {
		ids[i] = int32(i - 100)
	}
	all := []question{
		{path: item, method: properties + "GetAll", args: []any{itemName}},
		{path: item, method: properties + "GetAll", args: []any{""}},
		{path: item, method: properties + "GetAll", args: []any{7}},
		{path: item, method: properties + "Get", args: []any{itemName, "IconPixmap"}},
		{path: item, method: properties + "Get", args: []any{itemName, "Nonsense"}},
		{path: item, method: properties + "Get", args: []any{strings.Repeat("x.", 10_000), ""}},
		{path: item, method: properties + "Set", args: []any{itemName, "Id", dbus.MakeVariant("x")}},
		{path: item, method: properties + "Set", args: []any{itemName, "IconPixmap", dbus.MakeVariant(uint32(7))}},
		{path: item, method: properties + "Set", args: []any{itemName, "ToolTip", dbus.MakeVariant([]string{"x"})}},
		{path: menu, method: properties + "GetAll", args: []any{menuName}},
		{path: menu, method: properties + "Set", args: []any{menuName, "Version", dbus.MakeVariant("x")}},
		{path: menu, method: properties + "Set",
			args: []any{menuName, "Version", dbus.MakeVariant(uint32(math.MaxUint32))}},
		{path: menu, method: menuName + ".GetGroupProperties", args: []any{ids, []string{}}},
		{path: menu, method: menuName + ".GetGroupProperties", args: []any{ids[:0], []string{"", "label", "label"}}},
		{path: menu, method: menuName + ".GetGroupProperties", args: []any{"x", 1}},
		{path: menu, method: menuName + ".AboutToShowGroup", args: []any{ids}},
		{path: menu, method: menuName + ".EventGroup", args: []any{[]struct {
			ID   int32
			What string
			Data dbus.Variant
			At   uint32
		}{{-1, "clicked", dbus.MakeVariant(int32(0)), 0}, {math.MaxInt32, "clicked", dbus.MakeVariant(""), 1},
			{0, "opened", dbus.MakeVariant(int32(0)), 0}}}},
		{path: menu, method: menuName + ".EventGroup", args: []any{[]string{"x"}}},
		{path: menu, method: menuName + ".Event",
			args: []any{int32(0), strings.Repeat("clicked", 10_000), dbus.MakeVariant([]byte{1}), uint32(0)}},
		{path: menu, method: menuName + ".Event", args: []any{}},
		{path: menu, method: menuName + ".Nonsense", args: []any{}},
		{path: menu, method: "org.freedesktop.DBus.Introspectable.Introspect", args: []any{}},
		{path: menu, method: "org.freedesktop.DBus.Peer.Ping", args: []any{}},
		{path: menu, method: "org.freedesktop.DBus.Peer.Nonsense", args: []any{}},
		{path: menu + "/deeper", method: menuName + ".GetLayout", args: []any{int32(0), int32(-1), []string{}}},
		{path: "/", method: menuName + ".GetLayout", args: []any{int32(0), int32(-1), []string{}}},
		{path: item, method: itemName + ".Activate", args: []any{int32(math.MinInt32), int32(math.MaxInt32)}},
		{path: item, method: itemName + ".ContextMenu", args: []any{"x"}},
		{path: item, method: itemName + ".Scroll", args: []any{int32(1), "sideways"}},
	}
	for _, id := range []int32{0, 1, -1, 7, math.MaxInt32, math.MinInt32} {
		for _, depth := range []int32{-1, 0, 1, math.MaxInt32, math.MinInt32} {
			all = append(all, question{path: menu, method: menuName + ".GetLayout",
				args: []any{id, depth, []string{"label", "nonsense"}}})
		}
		all = append(all,
			question{path: menu, method: menuName + ".AboutToShow", args: []any{id}},
			question{path: menu, method: menuName + ".GetProperty", args: []any{id, "label"}, mute: true},
			question{path: menu, method: menuName + ".GetProperty", args: []any{id, "nonsense"}, mute: true},
			question{path: menu, method: menuName + ".GetLayout", args: []any{id}},
			question{path: menu, method: menuName + ".Event",
				args: []any{id, "hovered", dbus.MakeVariant(""), uint32(0)}})
	}
	return all
}
