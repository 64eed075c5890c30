package tray_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// These are the promises to panels that read the menu.

// TestPanelLooksTwice makes sure that a panel gets the content of submenus on its second read only. libdbusmenu-gtk
// leaves a submenu empty if its content comes with it.
func TestPanelLooksTwice(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	s := d.startTray()
	s.item.settle()
	for range 2 {
		panel := d.connect(func(*dbus.Signal) {})
		before, first := s.layout(panel)
		if submenu := first.find("Settings"); submenu == nil || !submenu.submenu || len(submenu.children) > 0 {
			t.Fatalf("at first a panel gets\n%v", first)
		}
		s.item.settle()
		after, second := s.layout(panel)
		if second.find("Settings", "Start at login") == nil || after <= before {
			t.Fatalf("then, in revision %d after %d, it gets\n%v", after, before, second)
		}
	}
}

// TestPanelIsQuick reads the menu in a tight loop from before it exists. The first menu is never empty.
func TestPanelIsQuick(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	program := buildProgram(t)
	conn := d.connect(func(*dbus.Signal) {})
	for range 20 {
		p := d.start(program, "tray")
		var l layout
		for deadline := time.Now().Add(patience); ; {
			if time.Now().After(deadline) {
				t.Fatal("there is no menu")
			}
			if name := d.connectionOf(conn, p.pid()); name != "" {
				var revision uint32
				reply, err := call(conn.Object(name, "/org/ayatana/NotificationItem/porttray/Menu"),
					menuName+".GetLayout", int32(0), int32(-1), []string{})
				if err == nil && dbus.Store(reply, &revision, &l) == nil {
					break
				}
			}
		}
		if menu, err := newNode(l, false); err != nil || menu.find("Quit") == nil {
			t.Errorf("the first menu that there is: %v\n%v", err, menu)
		}
		p.signal(os.Kill)
		if _, err := p.wait(patience); err != nil {
			t.Fatal(err)
		}
	}
}

// connectionOf returns the unique bus name of a process, or nothing if it has none.
func (d *testDesktop) connectionOf(conn *dbus.Conn, pid int) string {
	var names []string
	reply, err := call(conn.BusObject(), "org.freedesktop.DBus.ListNames")
	if err != nil || dbus.Store(reply, &names) != nil {
		d.t.Fatal(reply, err)
	}
	for _, name := range names {
		if who, err := call(conn.BusObject(), "org.freedesktop.DBus.GetConnectionUnixProcessID", name); err == nil &&
			who[0] == uint32(pid) {
			return name
		}
	}
	return ""
}

// layout reads the whole menu once, as the panel of a connection.
func (s *session) layout(panel *dbus.Conn) (revision uint32, menu *node) {
	s.t.Helper()
	var l layout
	reply, err := call(panel.Object(s.item.sender, s.item.menuPath()), menuName+".GetLayout",
		int32(0), int32(-1), []string{})
	if err == nil {
		err = dbus.Store(reply, &revision, &l)
	}
	if err == nil {
		menu, err = newNode(l, false)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return revision, menu
}

// TestPanelIsTold makes sure that a change of properties does not make panels read the menu again.
func TestPanelIsTold(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	bus := d.monitorOf(s.tray)
	mode := func(label string) *node { return s.item.menu().find("Notifications", label) }
	all, mine, off := mode("All ports"), mode("My servers"), mode("Off")
	for _, click := range []func(){
		func() { s.item.clickID(off.id) },
		func() { s.clickGroup(-1, mine.id, all.id) },
	} {
		s.item.settle()
		before := bus.traffic()
		click()
		if !poll(patience, func() bool { return bus.traffic().minus(before).messages["ItemsPropertiesUpdated"] > 0 }) {
			t.Fatal("the panel is told nothing")
		}
		s.item.settle()
		if told := bus.traffic().minus(before); told.messages["LayoutUpdated"] > 0 {
			t.Errorf("a panel is told to read again though the items are the same: %v", told)
		}
	}
	if menu := s.item.menu(); !menu.find("Notifications", "All ports").checked ||
		menu.find("Notifications", "My servers").checked {
		t.Errorf("after the clicks the menu is\n%v", menu)
	}
}

// clickGroup reports clicks on several items at once, as some panels do. The items need not exist.
func (s *session) clickGroup(ids ...int32) {
	s.t.Helper()
	type event struct {
		ID   int32
		What string
		Data dbus.Variant
		At   uint32
	}
	var events []event
	for _, id := range ids {
		events = append(events, event{id, "clicked", dbus.MakeVariant(int32(0)), 0})
	}
	var unknown []int32
	s.item.call([]any{&unknown}, s.item.menuPath(), menuName+".EventGroup", events)
	if want := []int32{-1}; !slices.Equal(unknown, want) {
		s.t.Errorf("unknown are %v, want %v", unknown, want)
	}
}

// TestPanelAsksForWhatIsNot asks for items that are removed or not there yet.
func TestPanelAsksForWhatIsNot(t *testing.T) {
	parallel(t)
	s := newDesktop(t).startTray()
	menu := s.host.conn.Object(s.item.sender, s.item.menuPath())
	const gone = int32(1 << 30)
	for method, args := range map[string][]any{
		"GetLayout":   {gone, int32(-1), []string{}},
		"GetProperty": {gone, "label"},
	} {
		if reply, err := call(menu, menuName+"."+method, args...); err == nil {
			t.Errorf("%s of such an item returns %v", method, reply)
		}
	}
	quit := s.item.menu().find("Quit").id
	var properties []struct {
		ID    int32
		Props map[string]dbus.Variant
	}
	s.item.call([]any{&properties}, s.item.menuPath(), menuName+".GetGroupProperties", []int32{gone, quit}, []string{})
	if len(properties) != 1 || properties[0].ID != quit || properties[0].Props["label"].Value() != "Quit" {
		t.Errorf("the properties are %v", properties)
	}
	var update, unknown []int32
	s.item.call([]any{&update, &unknown}, s.item.menuPath(), menuName+".AboutToShowGroup", []int32{gone, quit})
	if len(update) > 0 || !slices.Equal(unknown, []int32{gone}) {
		t.Errorf("to be read again are %v, and unknown %v", update, unknown)
	}
	s.item.clickID(gone)
	s.item.click(s.item.menu().find("Quit"))
	s.mustEnd()
}
