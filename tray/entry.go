package tray

// An entry is an item together with what it shows, so that only real changes reach systray.
type entry struct {
	item             item
	label            string
	enabled, visible bool
	checked          bool
}

// newCheck makes an entry that can be checked.
func newCheck(parent node, label string, checked bool) *entry {
	return &entry{item: parent.AddCheck(label, checked), label: label, enabled: true, visible: true, checked: checked}
}

// check marks the entry, or takes the mark away.
func (e *entry) check(checked bool) {
	switch {
	case checked && !e.checked:
		e.item.Check()
	case !checked && e.checked:
		e.item.Uncheck()
	}
	e.checked = checked
}

func newEntry(parent node, label string, enabled bool) *entry {
	e := &entry{item: parent.Add(label), label: label, enabled: true, visible: true}
	e.show(label, enabled)
	return e
}

// show makes the entry visible with that label. Visibility comes last, so that nobody sees the old label; and a hidden item is
// not touched otherwise, because on Windows a new label or state shows it.
func (e *entry) show(label string, enabled bool) {
	if e.label != label {
		e.item.SetTitle(label)
		e.label = label
	}
	if e.enabled != enabled {
		if enabled {
			e.item.Enable()
		} else {
			e.item.Disable()
		}
		e.enabled = enabled
	}
	if !e.visible {
		e.item.Show()
		e.visible = true
	}
}

// showIf shows the entry, or hides it if it has no label.
func (e *entry) showIf(label string, enabled bool) {
	if label == "" {
		e.hide()
	} else {
		e.show(label, enabled)
	}
}

func (e *entry) hide() {
	if e.visible {
		e.item.Hide()
		e.visible = false
	}
}
