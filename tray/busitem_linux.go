package tray

import (
	"slices"

	"github.com/godbus/dbus/v5"
)

// A busItem is an item of a busMenu. Item 0 is the menu itself.
type busItem struct {
	menu     *busMenu
	id       int32
	parent   *busItem
	kind     kind
	label    string // escaped
	disabled bool
	hidden   bool
	checked  bool
	children []*busItem
	grown    uint32       // the revision in which it got its present children
	fresh    bool         // panels do not know the item yet
	changed  bool         // panels know older properties
	to       chan<- click // receives *as at each click
	as       *click       // nil if clicks do nothing
}

// Add appends an item. Plasma reads the kind of an item only once, so it must never change.
func (i *busItem) Add(label string, k kind) item {
	m := i.menu
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	child := &busItem{menu: m, id: m.made, parent: i, kind: k, label: escaped(label), fresh: true}
	m.items[child.id] = child
	m.changed = append(m.changed, child)
	i.children = append(i.children, child)
	i.grow()
	return child
}

// grow records that the children of the item changed. The caller has locked the menu.
func (i *busItem) grow() { i.grown, i.menu.grown = i.menu.revision+1, true }

// touch records that a property has changed. The caller has locked the menu.
func (i *busItem) touch() {
	if i.fresh || i.changed || i.id == 0 {
		return
	}
	i.changed = true
	i.menu.changed = append(i.menu.changed, i)
}

// set changes a property.
func set[T any](i *busItem, property *T, to T) {
	i.menu.mu.Lock()
	defer i.menu.mu.Unlock()
	*property = to
	i.touch()
}

func (i *busItem) SetTitle(label string) { set(i, &i.label, escaped(label)) }
func (i *busItem) Enable()               { set(i, &i.disabled, false) }
func (i *busItem) Disable()              { set(i, &i.disabled, true) }
func (i *busItem) Show()                 { set(i, &i.hidden, false) }
func (i *busItem) Hide()                 { set(i, &i.hidden, true) }
func (i *busItem) Check()                { set(i, &i.checked, true) }
func (i *busItem) Uncheck()              { set(i, &i.checked, false) }

func (i *busItem) Remove() {
	i.menu.mu.Lock()
	defer i.menu.mu.Unlock()
	i.parent.children = slices.DeleteFunc(i.parent.children, func(c *busItem) bool { return c == i })
	i.forget()
	i.parent.grow()
}

// forget makes the item and all items below it unknown to panels.
func (i *busItem) forget() {
	delete(i.menu.items, i.id)
	for _, r := range i.menu.readers {
		delete(r.levels, i.id)
	}
	i.as = nil
	for _, c := range i.children {
		c.forget()
	}
}

func (i *busItem) Forward(to chan<- click, as click) (end func()) {
	i.menu.mu.Lock()
	defer i.menu.mu.Unlock()
	mine := &as
	i.to, i.as = to, mine
	return func() {
		i.menu.mu.Lock()
		defer i.menu.mu.Unlock()
		if i.as == mine {
			i.as = nil
		}
	}
}

// click passes on a click. The caller has locked the menu.
func (i *busItem) click() {
	if i.as == nil {
		return
	}
	select {
	case i.to <- *i.as:
	default: // the queue is full; the person has given up on it
	}
}

func (i *busItem) properties() busProperties {
	props := map[string]dbus.Variant{}
	switch {
	case i.id == 0:
	case i.kind == separator:
		props["type"] = dbus.MakeVariant("separator")
	default:
		// Default values are sent, too, because the panel may still have older values.
		props["label"] = dbus.MakeVariant(i.label)
		props["enabled"] = dbus.MakeVariant(!i.disabled)
		props["visible"] = dbus.MakeVariant(!i.hidden)
	}
	if toggle := map[kind]string{check: "checkmark", radio: "radio"}[i.kind]; toggle != "" {
		state := map[bool]int32{true: 1}[i.checked]
		props["toggle-type"], props["toggle-state"] = dbus.MakeVariant(toggle), dbus.MakeVariant(state)
	}
	if i.id == 0 || i.kind == branch {
		props["children-display"] = dbus.MakeVariant("submenu")
	}
	return busProperties{i.id, props}
}

// layout returns the item with the items below it, down to a depth. A negative depth means all.
func (i *busItem) layout(depth int32) busLayout {
	l := busLayout{i.id, i.properties().Props, []dbus.Variant{}}
	if depth != 0 {
		for _, c := range i.children {
			l.Children = append(l.Children, dbus.MakeVariant(c.layout(depth-1)))
		}
	}
	return l
}
