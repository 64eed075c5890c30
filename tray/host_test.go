//go:build linux

package tray_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

const (
	hostName = "org.kde.StatusNotifierWatcher"
	hostPath = "/StatusNotifierWatcher"
	itemName = "org.kde.StatusNotifierItem"
	menuName = "com.canonical.dbusmenu"
)

// A host is a panel with a tray. It follows the KDE protocol, see
// https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/.
type host struct {
	d     *testDesktop
	conn  *dbus.Conn
	props *prop.Properties

	mu      sync.Mutex // guards the fields below
	items   []*item    // oldest first
	calls   int        // number of RegisterStatusNotifierItem calls
	signals map[string]int
}

// startHost starts the panel. Only one runs at a time; to restart it, stop it and start another.
func (d *testDesktop) startHost() *host {
	d.t.Helper()
	h := d.newHost()
	d.own(h.conn, hostName)
	h.emit("StatusNotifierHostRegistered")
	return h
}

// newHost returns a panel without the name of the tray host.
func (d *testDesktop) newHost() *host {
	d.t.Helper()
	h := &host{d: d, signals: map[string]int{}}
	h.conn = d.connect(h.see)
	var err error
	h.props, err = prop.Export(h.conn, hostPath, prop.Map{hostName: {
		"RegisteredStatusNotifierItems":  {Value: []string{}},
		"IsStatusNotifierHostRegistered": {Value: true},
		"ProtocolVersion":                {Value: int32(0)},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	err = h.conn.ExportMethodTable(map[string]any{
		"RegisterStatusNotifierItem": h.register,
		"RegisterStatusNotifierHost": func(string) *dbus.Error { return nil },
	}, hostPath, hostName)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := call(h.conn.BusObject(), "org.freedesktop.DBus.AddMatch", "type='signal'"); err != nil {
		d.t.Fatal(err)
	}
	return h
}

// stop ends the panel in an orderly way. Its name is free when stop returns.
func (h *host) stop() { leave(h.conn, hostName) }

// crash ends the panel without a farewell. It returns when the bus has noticed.
func (h *host) crash() {
	h.d.t.Helper()
	h.conn.Close()
	h.d.free(hostName)
}

// at returns the item as seen by another panel, with or without the name of the tray host.
func (i *item) at(h *host) *item { return &item{h: h, sender: i.sender, name: i.name, path: i.path} }

// emit broadcasts a signal. It fails only if the connection has ended.
func (h *host) emit(signal string, args ...any) {
	h.conn.Emit(hostPath, hostName+"."+signal, args...)
}

// register is RegisterStatusNotifierItem. An item passes its object path, or its bus name for the usual path.
func (h *host) register(service string, sender dbus.Sender) *dbus.Error {
	i := &item{h: h, sender: string(sender), name: service + "/StatusNotifierItem", path: "/StatusNotifierItem"}
	if strings.HasPrefix(service, "/") {
		i.name, i.path = i.sender+service, dbus.ObjectPath(service)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	if !slices.ContainsFunc(h.items, func(known *item) bool { return known.name == i.name }) {
		h.items = append(h.items, i)
		h.publish()
	}
	h.emit("StatusNotifierItemRegistered", i.name)
	return nil
}

// publish updates the property with the list of items. The caller holds mu.
func (h *host) publish() {
	names := []string{}
	for _, i := range h.items {
		names = append(names, i.name)
	}
	h.props.SetMust(hostName, "RegisteredStatusNotifierItems", names)
}

// see counts all signals and drops the items of connections that leave the bus.
func (h *host) see(s *dbus.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signals[s.Sender]++
	if s.Name != "org.freedesktop.DBus.NameOwnerChanged" || len(s.Body) != 3 || s.Body[2] != "" {
		return
	}
	gone := func(i *item) bool { return i.sender == s.Body[0] }
	for _, i := range h.items {
		if gone(i) {
			h.items = slices.DeleteFunc(slices.Clone(h.items), gone)
			h.publish()
			h.emit("StatusNotifierItemUnregistered", i.name)
			return
		}
	}
}

// registrations returns the number of calls that register an item.
func (h *host) registrations() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

// shown returns the items in the tray, oldest first.
func (h *host) shown() []*item {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.items)
}

// item waits for an item in the tray and returns the newest.
func (h *host) item(timeout time.Duration) *item {
	h.d.t.Helper()
	var items []*item
	if !poll(timeout, func() bool { items = h.shown(); return len(items) > 0 }) {
		h.d.t.Fatalf("no tray item within %v", timeout)
	}
	return items[len(items)-1]
}

// An item is an icon in the tray of one host. After that host has stopped it cannot be used.
type item struct {
	h      *host
	sender string // the unique bus name of its connection
	name   string // as the host lists it
	path   dbus.ObjectPath
}

// call calls a method of one of the item's objects and stores the reply in dest.
func (i *item) call(dest []any, path dbus.ObjectPath, method string, args ...any) {
	i.h.d.t.Helper()
	reply, err := call(i.h.conn.Object(i.sender, path), method, args...)
	if err == nil {
		err = dbus.Store(reply, dest...)
	}
	if err != nil {
		i.h.d.t.Fatalf("%s: %v", method, err)
	}
}

// property stores a property of the item in dest. The specification gives its type.
func (i *item) property(name string, dest any) {
	i.h.d.t.Helper()
	var v dbus.Variant
	i.call([]any{&v}, i.path, "org.freedesktop.DBus.Properties.Get", itemName, name)
	if err := v.Store(dest); err != nil {
		i.h.d.t.Fatalf("%s: %v", name, err)
	}
}

// id returns the name under which panels remember the item.
func (i *item) id() (id string) {
	i.h.d.t.Helper()
	i.property("Id", &id)
	return id
}

// pixmap is an icon: 4 bytes for each pixel, alpha, red, green, blue.
type pixmap struct {
	W, H int32
	Pix  []byte
}

// icon returns the icon, the first one of several sizes.
func (i *item) icon() (w, h int, pix []byte) {
	i.h.d.t.Helper()
	var icons []pixmap
	i.property("IconPixmap", &icons)
	if len(icons) == 0 {
		return 0, 0, nil
	}
	return int(icons[0].W), int(icons[0].H), icons[0].Pix
}

// tooltip returns title and text of the tooltip, on two lines if both are there.
func (i *item) tooltip() string {
	i.h.d.t.Helper()
	var tip struct {
		IconName    string
		Icons       []pixmap
		Title, Text string
	}
	i.property("ToolTip", &tip)
	return strings.TrimSpace(tip.Title + "\n" + tip.Text)
}

func (i *item) menuPath() (path dbus.ObjectPath) {
	i.h.d.t.Helper()
	i.property("Menu", &path)
	return path
}

// menu reads the menu without its invisible entries. The returned node is the menu itself and has no label.
func (i *item) menu() *node {
	i.h.d.t.Helper()
	return i.read(false)
}

// allNodes reads the whole menu with the invisible entries.
func (i *item) allNodes() *node {
	i.h.d.t.Helper()
	return i.read(true)
}

func (i *item) read(hidden bool) *node {
	i.h.d.t.Helper()
	path := i.menuPath()
	for again := false; ; again = true {
		var revision uint32
		var l layout
		i.call([]any{&revision, &l}, path, menuName+".GetLayout", int32(0), int32(-1), []string{})
		menu, err := newNode(l, hidden)
		if err != nil {
			i.h.d.t.Fatal(err)
		}
		// A panel gets the submenus only on its second read.
		if again || !menu.stunted() {
			return menu
		}
	}
}

// waitFor reads the menu until ok accepts it, and returns it.
func (i *item) waitFor(what string, timeout time.Duration, ok func(menu *node) bool) *node {
	i.h.d.t.Helper()
	var menu *node
	if !poll(timeout, func() bool { menu = i.menu(); return len(menu.children) > 0 && ok(menu) }) {
		i.h.d.t.Fatalf("no %s within %v; the menu is\n%v", what, timeout, menu)
	}
	return menu
}

// click clicks a menu entry. The entry must be visible and enabled.
func (i *item) click(n *node) {
	i.h.d.t.Helper()
	if n == nil || n.separator || !n.enabled || !n.visible {
		i.h.d.t.Fatalf("cannot click %#v", n)
	}
	i.clickID(n.id)
}

// clickID clicks the entry with that id, even if it does not exist, as a panel with an outdated menu does.
func (i *item) clickID(id int32) {
	i.h.d.t.Helper()
	i.event(id, "clicked")
}

// opened tells the item that the person opened its menu.
func (i *item) opened() {
	i.h.d.t.Helper()
	i.event(0, "opened")
}

// aboutToShow tells the item that a part of its menu is about to be shown.
func (i *item) aboutToShow(id int32) (update bool) {
	i.h.d.t.Helper()
	i.call([]any{&update}, i.menuPath(), menuName+".AboutToShow", id)
	return update
}

// event sends the item an event of its menu. The item may end without an answer, as it should after a click on Quit.
func (i *item) event(id int32, event string) {
	i.h.d.t.Helper()
	menu := i.h.conn.Object(i.sender, i.menuPath())
	_, err := call(menu, menuName+".Event", id, event, dbus.MakeVariant(int32(0)), uint32(time.Now().Unix()))
	if refusal, ok := errors.AsType[dbus.Error](err); ok && refusal.Name == "org.freedesktop.DBus.Error.NoReply" {
		return
	}
	if err != nil {
		i.h.d.t.Fatalf("%s: %v", event, err)
	}
}

// signals returns the number of signals from the item since the host started, of any kind.
func (i *item) signals() int {
	i.h.mu.Lock()
	defer i.h.mu.Unlock()
	return i.h.signals[i.sender]
}

// quiet is the pause without signals that settle waits for.
const quiet = 500 * time.Millisecond

// settle waits until the item has been quiet and returns signals(). Call it before comparing signals: systray sends
// some 150 ms after the first read of the menu.
func (i *item) settle() int {
	i.h.d.t.Helper()
	last, since := i.signals(), time.Now()
	if !poll(patience, func() bool {
		if n := i.signals(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > quiet
	}) {
		i.h.d.t.Fatalf("the item sends signals all the time, %d up to now", last)
	}
	return last
}
