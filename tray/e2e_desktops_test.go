//go:build linux && desktop

package tray_test

import (
	"flag"
	"fmt"
	"image"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// These tests use the tray in the desktops of developers. The panel, the notification service, the clipboard and the
// pointer are real. There is no X server.

var desktopProgram = flag.String("desktop.program", "", "the `program` to test; empty means a fresh build")

// TestSway uses the tray in sway with waybar and mako.
func TestSway(t *testing.T) {
	d := newDesktop(t)
	w := d.startWitness()
	useTray(d.startSway(), w)
}

// TestPlasma uses the tray in KDE Plasma.
func TestPlasma(t *testing.T) {
	d := newDesktop(t)
	w := d.startWitness()
	useTray(d.startPlasma(), w)
}

// useTray uses the tray like a person, from the start of the program to Quit. It clicks Copy address and Quit over the
// bus, because their places on the screen are unknown.
func useTray(c *compositor, w *witness) {
	t, d := c.t, c.testDesktop
	t.Helper()
	paste := tool(t, "wl-paste")
	program := *desktopProgram
	if program == "" {
		program = buildProgram(t)
	}
	ill := d.startVictim(victimOptions{name: "ill"}, "127.0.0.1:0")
	tray := d.start(program, "tray")
	c.icon()
	i := w.item(tray)
	if !poll(patience, func() bool { return find(w.menu(c.panel), 0, fmt.Sprintf("%d  ", ill.ports[0])) != nil }) {
		t.Fatal("the panel did not read the menu")
	}

	// A server starts, and a notification reports it.
	late := d.startVictim(victimOptions{name: "late"}, "127.0.0.1:0")
	port := late.ports[0]
	c.told(w, tray, fmt.Sprintf(":%d) is up", port))

	// Another server crashes. The icon asks for attention until somebody opens the menu.
	ill.signal(os.Kill)
	has := func(status string) func() bool {
		return func() bool {
			var is string
			i.property("Status", &is)
			return is == status
		}
	}
	if !poll(patience, has("NeedsAttention")) {
		t.Fatal("the crash is no alarm")
	}
	c.told(w, tray, fmt.Sprintf(":%d) crashed", ill.ports[0]))
	at := c.icon()
	c.pointer.point(at)
	c.pointer.press()
	if !poll(patience, has("Active")) {
		t.Fatal("the icon was clicked, and the alarm stays")
	}

	// The late server has a submenu, both in the panel's copy of the menu and on the screen.
	label := fmt.Sprintf("%d  ", port)
	var row, copies *known
	if !poll(patience, func() bool {
		menu := w.menu(c.panel)
		if row = find(menu, 0, label); row != nil {
			copies = find(menu, row.id, "Copy address")
		}
		return copies != nil
	}) {
		t.Fatalf("the panel knows %+v as the row of port %d, and no submenu of it", row, port)
	}
	if !row.submenu {
		t.Errorf("the row of port %d was first told to the panel without a submenu", port)
	}
	if !c.hover(w, i, row.id, at) {
		t.Errorf("the pointer found no submenu of port %d", port)
	}

	// Its address is copied.
	i.clickID(copies.id)
	want := fmt.Sprintf("http://localhost:%d", port)
	var pasted string
	if !poll(patience, func() bool {
		pasted, _, _ = d.run(paste, "--no-newline")
		return pasted == want
	}) {
		t.Errorf("the clipboard holds %q, want %q", pasted, want)
	}

	// The panel dies, and gets the icon back after a new start.
	c.panel.signal(os.Kill)
	c.noIcon()
	c.panel = c.again()
	c.icon()
	if !poll(patience, func() bool { return find(w.menu(c.panel), 0, label) != nil }) {
		t.Error("the new panel did not read the menu")
	}

	// Quit ends the program.
	quit := find(w.menu(c.panel), 0, "Quit")
	if quit == nil {
		t.Fatal("there is no Quit")
	}
	i.clickID(quit.id)
	if code, err := tray.wait(patience); err != nil || code != 0 {
		t.Errorf("after Quit: code %d, %v", code, err)
	}
	c.noIcon()
}

// item returns the icon of a program, for calls from the test's own connection.
func (w *witness) item(program *process) *item {
	w.d.t.Helper()
	var calls []exchange
	if !poll(patience, func() bool {
		calls = w.by(program, "RegisterStatusNotifierItem")
		return len(calls) > 0
	}) {
		w.d.t.Fatal("the icon was not registered")
	}
	path, _ := calls[0].args[0].(string)
	return &item{h: w.d.newHost(), sender: calls[0].from, path: dbus.ObjectPath(path)}
}

// told waits until a notification of the program has reached the notification service.
func (c *compositor) told(w *witness, program *process, title string) {
	c.t.Helper()
	if !poll(patience, func() bool {
		return slices.ContainsFunc(w.by(program, "Notify"), func(e exchange) bool {
			return e.answered && len(e.args) > 3 && strings.Contains(fmt.Sprint(e.args[3]), title)
		})
	}) {
		c.t.Fatalf("no notice %q, but %v", title, w.all("Notify"))
	}
	if !poll(patience, func() bool { return c.notices(title) }) {
		c.t.Errorf("the notice %q is not shown", title)
	}
}

// hover moves the pointer down over the open menu until the panel has opened the submenu of an item, and reports
// whether it has. Panels wait before they open a submenu, so each round is slower.
func (c *compositor) hover(w *witness, i *item, id int32, from image.Point) bool {
	c.t.Helper()
	opened := func() bool {
		return slices.ContainsFunc(w.events(c.panel), func(e menuEvent) bool {
			return e.ID == id && e.Event == "opened"
		})
	}
	for _, stay := range []time.Duration{400 * time.Millisecond, 800 * time.Millisecond, 2 * time.Second} {
		for at := from.Add(image.Pt(8, 20)); at.Y < 200; at.Y += 10 {
			c.pointer.point(at)
			if poll(stay, opened) {
				return true
			}
		}
	}
	return false
}
