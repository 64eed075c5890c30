//go:build linux && desktop

package tray_test

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"
)

// A witness records the messages on the bus about the tray and notifications. It does not read the menu itself: a
// second reader would change the messages between program and panel.
type witness struct {
	d    *testDesktop
	conn *dbus.Conn // asks the bus for the PIDs of connections

	mu   sync.Mutex // guards the field below
	said []*exchange
}

// An exchange is a method call with its answer, or a signal.
type exchange struct {
	signal   bool
	from     string // the unique bus name of its sender
	member   string
	args     []any
	answered bool // it got an answer that is not an error
	answer   []any
	serial   uint32
}

// topics are the match rules of a witness. They exclude KWin's calls for pictures: each has a file descriptor, and the
// witness would have to close its copy.
var topics = []string{
	"type='method_call',interface='" + hostName + "',member='RegisterStatusNotifierItem'",
	"type='method_call',interface='" + menuName + "'",
	"type='signal',interface='" + menuName + "'",
	"type='method_call',interface='" + notifierName + "',member='Notify'",
	"type='method_return'",
}

// startWitness starts to record.
func (d *testDesktop) startWitness() *witness {
	d.t.Helper()
	w := &witness{d: d, conn: d.connect(func(*dbus.Signal) {})}
	ear := d.connect(func(*dbus.Signal) {})
	if _, err := call(ear.BusObject(), "org.freedesktop.DBus.Monitoring.BecomeMonitor", topics, uint32(0)); err != nil {
		d.t.Fatal(err)
	}
	messages := make(chan *dbus.Message, 1<<16) // if it is full, godbus drops messages
	ear.Eavesdrop(messages)
	ctx, cancel := context.WithCancel(context.Background())
	d.t.Cleanup(func() {
		ear.Eavesdrop(nil) // godbus would send to the channel after it has closed it
		cancel()
	})
	go func() {
		for {
			select {
			case msg := <-messages:
				w.hear(msg)
			case <-ctx.Done():
				return
			}
		}
	}()
	return w
}

func (w *witness) hear(msg *dbus.Message) {
	field := func(f dbus.HeaderField) string {
		text, _ := msg.Headers[f].Value().(string)
		return text
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch msg.Type {
	case dbus.TypeMethodCall, dbus.TypeSignal:
		w.said = append(w.said, &exchange{signal: msg.Type == dbus.TypeSignal, from: field(dbus.FieldSender),
			member: field(dbus.FieldMember), args: msg.Body, serial: msg.Serial()})
	case dbus.TypeMethodReply:
		to, serial := field(dbus.FieldDestination), msg.Headers[dbus.FieldReplySerial].Value()
		for _, e := range w.said {
			if !e.signal && e.from == to && e.serial == serial {
				e.answered, e.answer = true, msg.Body
			}
		}
	}
}

// all returns the exchanges with these members, oldest first.
func (w *witness) all(members ...string) []exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []exchange
	for _, e := range w.said {
		if slices.Contains(members, e.member) {
			found = append(found, *e)
		}
	}
	return found
}

// by returns the exchanges with these members that a process began.
func (w *witness) by(p *process, members ...string) []exchange {
	w.d.t.Helper()
	names := map[string]bool{}
	return slices.DeleteFunc(w.all(members...), func(e exchange) bool {
		is, asked := names[e.from]
		if !asked {
			// A connection that has left meanwhile is not of the process, which still runs.
			pid, err := call(w.conn.BusObject(), "org.freedesktop.DBus.GetConnectionUnixProcessID", e.from)
			is = err == nil && pid[0] == uint32(p.pid())
			names[e.from] = is
		}
		return !is
	})
}

// A known is a menu entry as a panel knows it.
type known struct {
	id       int32
	label    string
	submenu  bool // the first value that the panel got; Plasma ignores later ones
	children []int32
}

// menu returns the menu as a panel knows it from answers and signals, by item ID.
func (w *witness) menu(panel *process) map[int32]*known {
	w.d.t.Helper()
	items := map[int32]*known{}
	learn := func(l layout) *known {
		i := items[l.ID]
		if i == nil {
			i = &known{id: l.ID, submenu: value(l, "children-display", "") == "submenu"}
			items[l.ID] = i
		}
		i.label = value(l, "label", i.label)
		return i
	}
	var below func(l layout, depth int32)
	below = func(l layout, depth int32) {
		i := learn(l)
		if depth == 0 {
			return
		}
		i.children = nil
		for _, v := range l.Children {
			var child layout
			if err := v.Store(&child); err != nil {
				w.d.t.Fatal(err)
			}
			i.children = append(i.children, child.ID)
			below(child, depth-1)
		}
	}
	mine := w.by(panel, "GetLayout", "GetGroupProperties")
	for _, e := range w.all("GetLayout", "GetGroupProperties", "ItemsPropertiesUpdated") {
		switch {
		case e.signal:
			w.properties(e.args[0], func(l layout) *known {
				if items[l.ID] == nil {
					return nil // unknown to the panel
				}
				return learn(l)
			})
		case !e.answered || !slices.ContainsFunc(mine, func(m exchange) bool { return m.from == e.from }):
		case e.member == "GetGroupProperties":
			w.properties(e.answer[0], learn)
		case e.member == "GetLayout":
			var l layout
			if err := dbus.Store(e.answer[1:], &l); err != nil {
				w.d.t.Fatal(err)
			}
			// The first answer with a negative depth has the top level only. The next one has everything.
			below(l, e.args[1].(int32))
		}
	}
	return items
}

// properties calls learn for each item of a list with properties.
func (w *witness) properties(list any, learn func(layout) *known) {
	w.d.t.Helper()
	var items []itemProperties
	if err := dbus.Store([]any{list}, &items); err != nil {
		w.d.t.Fatal(err)
	}
	for _, i := range items {
		learn(layout{ID: i.ID, Props: i.Props})
	}
}

// find returns the entry below an item with that label prefix, nil if the panel does not know it.
func find(items map[int32]*known, below int32, label string) *known {
	if items[below] == nil {
		return nil
	}
	for _, id := range items[below].children {
		if i := items[id]; strings.HasPrefix(strings.TrimPrefix(i.label, "\u200e"), label) {
			return i
		}
	}
	return nil
}

// A menuEvent is a panel's report about an action of the user on an item.
type menuEvent struct {
	ID    int32
	Event string
	Data  dbus.Variant
	At    uint32
}

// events returns the events that a panel has sent, singly or in groups.
func (w *witness) events(panel *process) (told []menuEvent) {
	w.d.t.Helper()
	for _, e := range w.by(panel, "Event", "EventGroup") {
		group, err := []menuEvent{{}}, error(nil)
		if e.member == "Event" {
			err = dbus.Store(e.args, &group[0].ID, &group[0].Event, &group[0].Data, &group[0].At)
		} else {
			err = dbus.Store(e.args, &group)
		}
		if err != nil {
			w.d.t.Fatal(err)
		}
		told = append(told, group...)
	}
	return told
}
