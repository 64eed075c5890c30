package tray

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	busMenuName = "com.canonical.dbusmenu"
	busMenuPath = "/StatusNotifierItem/menu" // where systray's item says that its menu is
	// unfolding is how long after a panel's first look at the menu it is asked to look again.
	unfolding = 150 * time.Millisecond
	// reading is longer than an answer takes from when it is settled until it is sent.
	reading = 250 * time.Millisecond
	// maxReaders is how many panels are remembered.
	maxReaders = 64
)

// A busMenu is the menu as panels on Linux read it (com.canonical.dbusmenu, described in dbus-menu.xml of libdbusmenu). It takes
// the place of systray's own, which sends three signals for each property of each item that changes: a server that comes or goes
// would cost over a hundred, and have the panel read most of the menu as often. This one tells all that has changed at once, by a
// signal or two, when the drawer has drawn it; the panel reads the menu again only if there are other items in it. The item of the
// tray and its icon stay systray's.
type busMenu struct {
	opened chan<- struct{}
	built  chan struct{} // closed when there is something to show
	queue  busQueue

	mu       sync.Mutex // guards what follows, and all items
	conn     *dbus.Conn // nil until it is built
	root     *busItem
	items    map[int32]*busItem
	made     int32 // items up to now, by which they are numbered
	revision uint32
	changed  []*busItem      // whose properties are others than panels were told
	grown    bool            // there are other items than panels were told
	read     time.Time       // when a panel last asked for something
	readers  map[string]bool // the bus names of panels that have looked at the menu
}

// ownMenu has porttray's own menu take the place of systray's, before systray shows its. Root and face are to be drawn on, and built
// must be called when that is done for the first time: until then panels wait.
func ownMenu(_ node, theirs face, opened chan<- struct{}) (root node, own face, built func()) {
	m := newBusMenu(opened)
	conn, err := dbus.SessionBus()
	if err == nil {
		err = errors.Join(m.export(conn), m.exportItem(conn))
	}
	if err != nil {
		slog.Error("the menu cannot be shown", "err", err) // the session is ending
	}
	return m.root, busFace{theirs, m}, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.tell() // nobody as yet
		if err == nil {
			m.conn = conn
		}
		close(m.built)
	}
}

func newBusMenu(opened chan<- struct{}) *busMenu {
	m := &busMenu{opened: opened, built: make(chan struct{}), queue: busQueue{waiting: map[string]int{}}, revision: 1,
		items: map[int32]*busItem{}, readers: map[string]bool{}}
	m.root = &busItem{menu: m}
	m.items[0] = m.root
	return m
}

// export serves the menu.
func (m *busMenu) export(conn *dbus.Conn) error {
	return conn.ExportMethodTable(map[string]any{
		"GetLayout":          m.answerLayout,
		"GetGroupProperties": m.answerProperties,
		"GetProperty":        m.property,
		"Event":              m.event,
		"EventGroup":         m.events,
		"AboutToShow":        func(int32) (bool, *dbus.Error) { return false, nil },
		"AboutToShowGroup":   m.aboutToShow,
	}, ownMenuPath, busMenuName)
}

// commit tells panels what has changed since it was called last.
func (m *busMenu) commit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell()
}

// tell is commit, for those who have locked the menu.
func (m *busMenu) tell() {
	updated := []busProperties{}
	for _, i := range m.changed {
		if i.changed && m.items[i.id] == i {
			updated = append(updated, i.properties())
		}
		i.fresh, i.changed = false, false
	}
	// An answer to a panel that is reading may be older than the signal, and come after it.
	grown := m.grown || len(updated) > 0 && time.Since(m.read) < reading
	m.changed, m.grown = nil, false
	if m.conn == nil {
		return
	}
	if len(updated) > 0 {
		type names struct {
			ID    int32
			Names []string
		}
		m.emit("ItemsPropertiesUpdated", updated, []names{})
	}
	if grown {
		m.revision++
		m.emit("LayoutUpdated", m.revision, int32(0))
	}
}

// emit sends a signal. It fails only when the session has ended.
func (m *busMenu) emit(signal string, args ...any) {
	_ = m.conn.Emit(busMenuPath, busMenuName+"."+signal, args...)
}

// busProperties are what a panel is told of an item; those that are not among them are as the protocol says.
type busProperties struct {
	ID    int32
	Props map[string]dbus.Variant
}

// A busLayout is an item with what is below it.
type busLayout struct {
	ID       int32
	Props    map[string]dbus.Variant
	Children []dbus.Variant
}

// answerLayout is GetLayout.
func (m *busMenu) answerLayout(parent, depth int32, _ []string, call dbus.Message) *dbus.Error {
	return m.answer(call, func(sender string) ([]any, *dbus.Error) {
		revision, layout, err := m.layout(parent, depth, sender)
		return []any{revision, layout}, err
	})
}

// layout returns what GetLayout does. All properties are returned, whatever is asked for, as systray does.
//
// The first time that a panel asks for everything it gets the top level only, and is asked to look again: libdbusmenu-gtk, which
// most panels have, would read what is below it in an order in which the submenus stay empty.
func (m *busMenu) layout(parent, depth int32, sender string) (uint32, busLayout, *dbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.items[parent]
	if i == nil {
		return 0, busLayout{}, noSuchItem(parent)
	}
	m.read = time.Now()
	if (depth < 0 || depth > 1) && !m.readers[sender] {
		if len(m.readers) == maxReaders {
			clear(m.readers)
		}
		m.readers[sender], depth = true, 1
		time.AfterFunc(unfolding, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.grown = true
			m.tell()
		})
	}
	return m.revision, i.layout(depth), nil
}

func noSuchItem(id int32) *dbus.Error {
	return dbus.MakeFailedError(fmt.Errorf("there is no item %d", id))
}

// answerProperties is GetGroupProperties.
func (m *busMenu) answerProperties(ids []int32, _ []string, call dbus.Message) *dbus.Error {
	return m.answer(call, func(string) ([]any, *dbus.Error) { return []any{m.properties(ids)}, nil })
}

// properties returns what GetGroupProperties does: of each item once, however often it is asked for, and of all if of none.
func (m *busMenu) properties(ids []int32) []busProperties {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = time.Now()
	if len(ids) == 0 {
		ids = slices.Sorted(maps.Keys(m.items))
	}
	found, has := []busProperties{}, map[int32]bool{}
	for _, id := range ids {
		if i := m.items[id]; i != nil && !has[id] {
			has[id] = true
			found = append(found, i.properties())
		}
	}
	return found
}

// property is GetProperty.
func (m *busMenu) property(id int32, name string) (dbus.Variant, *dbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = time.Now()
	if i := m.items[id]; i != nil {
		if v, ok := i.properties().Props[name]; ok {
			return v, nil
		}
	}
	return dbus.Variant{}, dbus.MakeFailedError(fmt.Errorf("item %d has no %s", id, name))
}

// event is Event. What a panel shows may be older than the menu, so it is no error if there is no such item.
func (m *busMenu) event(id int32, event string, _ dbus.Variant, _ uint32) *dbus.Error {
	m.happens(id, event)
	return nil
}

// happens does what an event on an item asks for, and reports whether there is such an item.
func (m *busMenu) happens(id int32, event string) (known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.items[id]
	switch {
	case i == nil:
	case event == "clicked":
		i.click()
	case event == "opened" && id == 0:
		select {
		case m.opened <- struct{}{}:
		default: // one is waiting already
		}
	}
	return i != nil
}

// events is EventGroup. As for systray, only clicks count that are reported so.
func (m *busMenu) events(events []struct {
	ID    int32
	Event string
	Data  dbus.Variant
	At    uint32
}) ([]int32, *dbus.Error) {
	unknown := []int32{}
	for _, e := range events {
		if e.Event == "opened" {
			continue
		}
		if !m.happens(e.ID, e.Event) {
			unknown = append(unknown, e.ID)
		}
	}
	return unknown, nil
}

// aboutToShow is AboutToShowGroup. Systray has a panel read all submenus again that it asks for, and so does this.
func (m *busMenu) aboutToShow(ids []int32) (update, unknown []int32, err *dbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	update, unknown = []int32{}, []int32{}
	for _, id := range ids {
		if i := m.items[id]; i == nil {
			unknown = append(unknown, id)
		} else if len(i.children) > 0 {
			update = append(update, id)
		}
	}
	return update, unknown, nil
}
