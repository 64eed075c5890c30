package tray

// A recentMenu lists the servers that closed lately. Its entries are made when they are first needed, and hold what they copy.
type recentMenu struct {
	*entry
	rows []recentEntry
}

// A recentEntry is the entry of one of them.
type recentEntry struct {
	*entry
	shown         recentRow
	restart, copy *entry
	unbind        []func()
}

func (m *recentMenu) draw(d *drawer, rows [maxRecent]recentRow) {
	m.showIf(map[bool]string{true: "Recently closed"}[rows[0].label != ""], true)
	for i, r := range rows {
		if i == len(m.rows) {
			if r.label == "" {
				return
			}
			e := recentEntry{entry: newEntry(m.item, r.label, true)}
			e.restart, e.copy = newEntry(e.item, "Copy restart command", true), newEntry(e.item, "Copy address", true)
			m.rows = append(m.rows, e)
		}
		m.rows[i].bind(d, r)
	}
}

func (e *recentEntry) bind(d *drawer, r recentRow) {
	if e.shown == r {
		return
	}
	for _, end := range e.unbind {
		end()
	}
	e.shown = r
	e.unbind = []func(){
		d.forward(e.restart.item, click{action: copyThis, text: r.restart}),
		d.forward(e.copy.item, click{action: copyThis, text: r.address}),
	}
	e.restart.show("Copy restart command", r.restart != "")
	e.show(r.label, true)
}
