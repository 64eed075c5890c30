package tray

// A hiddenMenu lists the servers that the person hid, under Other. A click shows one of them again. Its entries are made when they
// are first needed.
type hiddenMenu struct {
	*entry
	rows []hiddenEntry
}

// A hiddenEntry is the entry of one of them.
type hiddenEntry struct {
	*entry
	shown  mark
	unbind func()
}

// drawHidden shows what is hidden. Other is there for it, even if there is nothing else under it.
func (d *drawer) drawHidden(v menu) {
	any := v.hidden[0] != mark{}
	if any && len(v.other) == 0 {
		d.other.show("Other", true) // first: see placeUnder
	}
	if d.hidden.entry == nil && d.other.visible { // the first entry of Other, while there is no other one
		d.hidden.entry = newEntry(d.other.item, "Hidden", true)
		d.hidden.hide()
	}
	if v.hidden == d.shown.hidden {
		return
	}
	d.hidden.showIf(map[bool]string{true: "Hidden"}[any], true)
	for i, h := range v.hidden {
		if i == len(d.hidden.rows) {
			if h == (mark{}) {
				break
			}
			d.hidden.rows = append(d.hidden.rows, hiddenEntry{entry: newEntry(d.hidden.item, hiddenLabel(h), true)})
		}
		d.hidden.rows[i].bind(d, h)
	}
	if !any && len(v.other) == 0 {
		d.other.hide()
	}
}

func (e *hiddenEntry) bind(d *drawer, h mark) {
	if e.shown == h {
		return
	}
	if e.unbind != nil {
		e.unbind()
		e.unbind = nil
	}
	if e.shown = h; h != (mark{}) {
		e.unbind = d.forward(e.item, click{action: hide, mark: h})
	}
	e.showIf(hiddenLabel(h), true)
}
