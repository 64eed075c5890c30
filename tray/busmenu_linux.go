package tray

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

const (
	menuName = "com.canonical.dbusmenu" // described in dbus-menu.xml of libdbusmenu
	// unfolding is the delay between a panel's first read of the menu and our request to read it again.
	unfolding = 150 * time.Millisecond
	// readerGrace is how long after its first read a panel may call AboutToShow by itself. GNOME's extension does.
	readerGrace = 2 * time.Second
	// signPace is how long a repeated sign is ignored. If more than maxSigns calls arrive in that time, all signs are
	// ignored for floodPause.
	signPace   = time.Second
	maxSigns   = 20
	floodPause = 10 * time.Second
	// maxReaders is how many panels are remembered.
	maxReaders = 64
)

// A busMenu serves the menu to panels on Linux (com.canonical.dbusmenu). It announces all changes of a drawing at once:
// one signal for changed properties, and one for a changed layout.
//
// Panels read in two ways. GNOME and panels with libdbusmenu-gtk read the whole menu again after a change of layout.
// KDE and LXQt read one level at a time. They hear of a changed level when somebody opens the level above. So an unseen
// submenu costs nothing, and a seen one is complete before it appears.
type busMenu struct {
	queue *busQueue
	signs chan<- sign

	mu         sync.Mutex // guards all fields below, and all items
	root       *busItem
	items      map[int32]*busItem
	made       int32 // the number of the newest item
	revision   uint32
	changed    []*busItem         // items with properties that panels do not know yet
	grown      bool               // panels do not know the latest layout
	readers    map[string]*reader // the panels by their bus names
	whole      bool               // one of them reads the whole menu
	below      map[int32]bool     // the open submenus
	given      sign               // the last sign that was sent
	givenAt    time.Time
	count      int // calls since counted
	counted    time.Time
	floodUntil time.Time // signs are ignored until then
}

// A reader is a panel that has read the menu.
type reader struct {
	since    time.Time
	unfolded bool             // it was asked to read again
	tells    bool             // it sends an event when the menu is opened
	levels   map[int32]uint32 // the revision of each level that it read alone, by the item above
}

func newBusMenu(queue *busQueue, signs chan<- sign) *busMenu {
	m := &busMenu{queue: queue, signs: signs, revision: 1,
		items: map[int32]*busItem{}, readers: map[string]*reader{}, below: map[int32]bool{}}
	m.root = &busItem{menu: m}
	m.items[0] = m.root
	return m
}

func (m *busMenu) export() error {
	constant := func(value any) *prop.Prop { return &prop.Prop{Value: value, Emit: prop.EmitConst} }
	_, err := prop.Export(m.queue.conn, menuPath, prop.Map{menuName: {
		"Version": constant(uint32(3)), "TextDirection": constant("ltr"),
		"Status": constant("normal"), "IconThemePath": constant([]string{}),
	}})
	return errors.Join(err, m.queue.conn.ExportMethodTable(map[string]any{
		"GetLayout":          m.answerLayout,
		"GetGroupProperties": m.answerProperties,
		"GetProperty":        m.property,
		"Event":              m.event,
		"EventGroup":         m.events,
		"AboutToShow":        m.aboutToShow,
		"AboutToShowGroup":   m.aboutToShowGroup,
	}, menuPath, menuName))
}

// commit tells panels of all changes since the last call.
func (m *busMenu) commit() {
	m.queue.turn.Lock()
	defer m.queue.turn.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	updated := []busProperties{}
	for _, i := range m.changed {
		if i.changed && m.items[i.id] == i {
			updated = append(updated, i.properties())
		}
		i.fresh, i.changed = false, false
	}
	m.changed = nil
	if len(updated) > 0 {
		type names struct {
			ID    int32
			Names []string
		}
		m.emit("", "ItemsPropertiesUpdated", updated, []names{})
	}
	if m.grown {
		m.grown = false
		m.revision++
		if m.whole {
			m.emit("", "LayoutUpdated", m.revision, int32(0))
		}
	}
}

func (m *busMenu) emit(to, signal string, args ...any) {
	m.queue.emit(to, menuPath, menuName, signal, args...)
}

// busProperties are the properties of an item. Missing ones have the default of the protocol.
type busProperties struct {
	ID    int32
	Props map[string]dbus.Variant
}

// A busLayout is an item with the items below it.
type busLayout struct {
	ID       int32
	Props    map[string]dbus.Variant
	Children []dbus.Variant
}

// answerLayout is GetLayout.
func (m *busMenu) answerLayout(parent, depth int32, _ []string, call dbus.Message) *dbus.Error {
	return m.queue.answer(call, func(sender string) ([]any, *dbus.Error) {
		revision, layout, err := m.layout(parent, depth, sender)
		return []any{revision, layout}, err
	})
}

// layout answers GetLayout, always with all properties.
//
// A panel that asks for everything gets only the top level at first, and is asked to read again. Otherwise
// libdbusmenu-gtk reads the lower levels in an order that leaves submenus empty.
func (m *busMenu) layout(parent, depth int32, sender string) (uint32, busLayout, *dbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.items[parent]
	if i == nil {
		return 0, busLayout{}, noSuchItem(parent)
	}
	r := m.reader(sender)
	switch {
	case depth == 1:
		r.levels[parent] = m.revision
	case depth != 0:
		m.whole = true
		if !r.unfolded {
			r.unfolded, depth = true, 1
			time.AfterFunc(unfolding, m.unfold)
		}
	}
	return m.revision, i.layout(depth), nil
}

// unfold asks panels to read the whole menu again.
func (m *busMenu) unfold() {
	m.queue.turn.Lock()
	defer m.queue.turn.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision++
	m.emit("", "LayoutUpdated", m.revision, int32(0))
}

// renewReaders starts readerGrace of all panels again. They are about to see the icon anew, and may call AboutToShow by
// themselves.
func (m *busMenu) renewReaders() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.readers {
		r.since = time.Now()
	}
}

// reader returns the record of a panel. The caller has locked the menu.
func (m *busMenu) reader(sender string) *reader {
	r := m.readers[sender]
	if r == nil {
		if len(m.readers) == maxReaders {
			m.forgetReader()
		}
		r = &reader{since: time.Now(), levels: map[int32]uint32{}}
		m.readers[sender] = r
	}
	return r
}

// forgetReader forgets the oldest panel. It prefers panels that nobody used.
func (m *busMenu) forgetReader() {
	oldest := ""
	for name, r := range m.readers {
		o := m.readers[oldest]
		if o == nil || o.used() && !r.used() || o.used() == r.used() && r.since.Before(o.since) {
			oldest = name
		}
	}
	delete(m.readers, oldest)
}

// used reports whether somebody used the menu in the panel.
func (r *reader) used() bool { return r.tells || len(r.levels) > 0 }

func noSuchItem(id int32) *dbus.Error {
	return dbus.MakeFailedError(fmt.Errorf("there is no item %d", id))
}

// answerProperties is GetGroupProperties.
func (m *busMenu) answerProperties(ids []int32, _ []string, call dbus.Message) *dbus.Error {
	return m.queue.answer(call, func(string) ([]any, *dbus.Error) { return []any{m.properties(ids)}, nil })
}

// properties answers GetGroupProperties: each item once, or all items for an empty list.
func (m *busMenu) properties(ids []int32) []busProperties {
	m.mu.Lock()
	defer m.mu.Unlock()
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
	if i := m.items[id]; i != nil {
		if v, ok := i.properties().Props[name]; ok {
			return v, nil
		}
	}
	return dbus.Variant{}, dbus.MakeFailedError(fmt.Errorf("item %d has no %s", id, name))
}

// event is Event. An unknown item is no error, because a panel may show an older menu.
func (m *busMenu) event(id int32, event string, _ dbus.Variant, _ uint32, sender dbus.Sender) *dbus.Error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.called()
	m.happens(id, event, string(sender))
	return nil
}

// happens acts on an event, and reports whether its item exists. The caller has locked the menu.
func (m *busMenu) happens(id int32, event, sender string) (known bool) {
	i := m.items[id]
	switch {
	case i == nil:
	case event == "clicked":
		i.click()
		m.given = 0 // the menu closes, and may open again at once
	case event == "opened" && id == 0:
		m.reader(sender).tells = true
		m.sign(menuOpened)
	case event == "opened":
		m.below[id] = true
		m.sign(menuUsed)
	case event == "closed" && id == 0:
		m.sign(menuClosed)
	case event == "closed":
		if delete(m.below, id); len(m.below) == 0 {
			m.sign(menuLeft)
		}
	}
	return i != nil
}

// called counts a call that can be a sign. The caller has locked the menu.
func (m *busMenu) called() {
	if now := time.Now(); now.Sub(m.counted) >= signPace {
		m.counted, m.count = now, 0
	}
	m.count++
}

// sign sends a sign to the loop. Nobody causes more than maxSigns calls within signPace. After such a flood it ignores
// all signs for a while. The caller has locked the menu.
func (m *busMenu) sign(s sign) {
	now := time.Now()
	if m.count > maxSigns {
		s, m.floodUntil = menuFlood, now.Add(floodPause)
	} else if now.Before(m.floodUntil) {
		return
	}
	if s != menuUsed && s != menuLeft {
		clear(m.below)
	}
	if s == m.given && now.Sub(m.givenAt) < signPace {
		return
	}
	m.given, m.givenAt = s, now
	select {
	case m.signs <- s:
	default: // earlier ones are waiting
	}
}

// events is EventGroup.
func (m *busMenu) events(events []struct {
	ID    int32
	Event string
	Data  dbus.Variant
	At    uint32
}, sender dbus.Sender) ([]int32, *dbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.called()
	unknown := []int32{}
	for _, e := range events {
		if !m.happens(e.ID, e.Event, string(sender)) {
			unknown = append(unknown, e.ID)
		}
	}
	return unknown, nil
}

// aboutToShow is AboutToShow.
func (m *busMenu) aboutToShow(id int32, sender dbus.Sender) (update bool, err *dbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.called()
	update, known := m.prepare(id, string(sender))
	if !known {
		return false, noSuchItem(id)
	}
	return update, nil
}

// aboutToShowGroup is AboutToShowGroup.
func (m *busMenu) aboutToShowGroup(ids []int32, sender dbus.Sender) (update, unknown []int32, err *dbus.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.called()
	update, unknown = []int32{}, []int32{}
	for _, id := range ids {
		if stale, known := m.prepare(id, string(sender)); !known {
			unknown = append(unknown, id)
		} else if stale {
			update = append(update, id)
		}
	}
	return update, unknown, nil
}

// prepare readies a submenu for a panel that is about to show it. It reports whether the panel must read it again, and
// whether it exists. Xfce, waybar and Cinnamon have no other sign that the menu is opened. A panel that reads a level
// at a time gets a signal for each unread submenu. Otherwise KDE would show them before it reads them, off the screen.
// The caller has locked the menu.
func (m *busMenu) prepare(id int32, sender string) (stale, known bool) {
	i, r := m.items[id], m.reader(sender)
	if i == nil {
		return false, false
	}
	if id != 0 {
		m.sign(menuUsed)
	} else if !r.tells && time.Since(r.since) >= readerGrace {
		m.sign(menuShown)
	}
	if len(r.levels) == 0 {
		return false, true
	}
	for _, c := range i.children {
		if c.kind == branch && !c.hidden && c.grown > r.levels[c.id] {
			m.emit(sender, "LayoutUpdated", m.revision, c.id)
		}
	}
	return i.grown > r.levels[id], true
}
