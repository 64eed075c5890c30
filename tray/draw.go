package tray

import (
	"os"
	"runtime"
	"slices"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

const (
	// slotCount is the number of top-level slots. A new row nearly always finds a free one between its neighbours.
	slotCount = 4 * directRows
	spare     = 16 // extra slots for a submenu that grows
	// linger is how long a removed entry can still be clicked. Until then it is only hidden. A panel may still show it,
	// and systray panics if an item is removed during a click on it.
	linger = time.Minute
)

// A kind is the sort of an entry. It never changes, because panels read it once.
type kind int

const (
	plain  kind = iota
	branch      // has a submenu, or may get one
	check
	radio
	separator
)

// A node is a part of the menu with children. Children are only appended, never moved or inserted.
type node interface {
	Add(label string, k kind) item
}

// An item is one entry of the system's menu. Each call can make a panel read the menu, so the drawer calls nothing
// without a change.
type item interface {
	node
	SetTitle(string)
	Enable()
	Disable()
	Show()
	Hide()
	Check()
	Uncheck()
	Remove()
	// Forward sends as to a channel at each click, until end is called or the item is removed.
	Forward(to chan<- click, as click) (end func())
}

// A face is the rest of the tray: the icon and its tooltip.
type face interface {
	SetIcon(count int, attention bool)
	SetTooltip(string)
	Commit() // tells panels of the drawn menu, while it is closed
}

// A click is the action of an entry. It is fixed when the entry is made, not when the click is handled.
type click struct {
	action action
	id     server.ID
	target server.Target
	who    string // the process or container of the row
	text   string // for copyThis
	mode   mode   // for setMode
	mark   mark   // for pin and hide
}

type action int

const (
	none action = iota
	open
	copyAddress
	copyNetwork // the address for other machines
	stop
	kill
	mute
	pin
	hide
	openTerminal
	copyThis   // the text of the click
	showLatest // open or copy the server of the latest event
	setMode
	pause
	atLogin
	openSettings
	about
	quit
)

// A drawer updates the screen to a menu, with as few changes as possible. It belongs to one goroutine.
type drawer struct {
	face   face
	clicks chan click

	count     int
	attention bool
	tooltip   string

	root       node
	head, tail []*entry
	top        strip
	keys       []rowKey    // of all rows of the last drawing
	dead       []deadEntry // waiting to be removed
}

// newDrawer builds the menu v under root. The face must show v already.
func newDrawer(root node, f face, v menu) *drawer {
	d := &drawer{face: f, clicks: make(chan click, 32), root: root,
		count: v.count, attention: v.attention, tooltip: v.tooltip}
	d.fill(root, &d.head, v.head, time.Time{})
	d.top.grow(root, slotCount)
	d.drawMenu(v, time.Time{})
	return d
}

// drawIcon draws the icon. It never disturbs an open menu.
func (d *drawer) drawIcon(v menu) {
	if v.count != d.count || v.attention != d.attention {
		d.face.SetIcon(v.count, v.attention)
		d.count, d.attention = v.count, v.attention
	}
}

// draw changes the screen to v.
func (d *drawer) draw(v menu, now time.Time) {
	d.drawIcon(v)
	if v.tooltip != d.tooltip { // xfce4-panel shows a new tooltip at once, also over an open menu
		d.face.SetTooltip(v.tooltip)
		d.tooltip = v.tooltip
	}
	d.drawMenu(v, now)
	d.face.Commit()
}

func (d *drawer) drawMenu(v menu, now time.Time) {
	// Panels read the menu again when its rows change. Remove old entries at the same time.
	if keys := v.keys(); !slices.Equal(keys, d.keys) {
		d.sweep(now)
		d.keys = keys
	}
	d.fill(d.root, &d.head, v.head, now)
	d.place(&d.top, v.rows, now)
	d.fill(d.root, &d.tail, v.tail, now)
}

// An entry is an item with its present state. So only real changes reach the system.
type entry struct {
	item             item
	kind             kind
	label            string
	enabled, visible bool
	checked          bool
	click            click
	key              rowKey
	unbind           func() // ends the forwarding of clicks; nil without forwarding
	below            []*entry
	rows             strip
}

// newEntry appends an entry. An entry without a label is hidden.
func newEntry(parent node, k kind, label string) *entry {
	e := &entry{item: parent.Add(label, k), kind: k, label: label, enabled: true, visible: true}
	if label == "" && k != separator {
		e.hide()
	}
	return e
}

func (e *entry) hide() {
	if e.visible {
		e.item.Hide()
		e.visible = false
	}
}

// bind makes clicks do c.
func (d *drawer) bind(e *entry, c click) {
	if e.click == c {
		return
	}
	if e.unbind != nil {
		e.unbind()
		e.unbind = nil
	}
	if e.click = c; c.action != none {
		e.unbind = e.item.Forward(d.clicks, c)
	}
}

// disarm makes clicks on an entry and on its fixed entries do nothing.
func (d *drawer) disarm(e *entry) {
	d.bind(e, click{})
	for _, c := range e.below {
		d.disarm(c)
	}
}

// fill shows lines as entries under parent, in order. It appends missing entries, and hides surplus ones.
func (d *drawer) fill(parent node, entries *[]*entry, lines []line, now time.Time) {
	for i, l := range lines {
		if i == len(*entries) {
			*entries = append(*entries, newEntry(parent, l.kind, l.label))
		}
		d.show((*entries)[i], l, now)
	}
	for _, e := range (*entries)[min(len(lines), len(*entries)):] {
		d.show(e, line{}, now)
	}
}

// show makes an entry show a line. It makes the entry visible last, so that nobody sees an old label. Besides, Windows
// shows a hidden item that gets a label or state. Children come after that, because Windows cannot hang a submenu on a
// hidden item.
func (d *drawer) show(e *entry, l line, now time.Time) {
	if e.kind == separator {
		return
	}
	if l.label == "" {
		d.place(&e.rows, nil, now)
		d.disarm(e)
		e.hide()
		return
	}
	if e.label != l.label {
		e.item.SetTitle(l.label)
		e.label = l.label
	}
	if e.enabled == l.grey {
		if e.enabled = !l.grey; e.enabled {
			e.item.Enable()
		} else {
			e.item.Disable()
		}
	}
	if e.checked != l.checked {
		if e.checked = l.checked; e.checked {
			e.item.Check()
		} else {
			e.item.Uncheck()
		}
	}
	if !e.visible {
		e.item.Show()
		e.visible = true
	}
	d.bind(e, l.click)
	if e.key != l.key {
		d.retire(e, now)
		e.key = l.key
	}
	d.fill(e.item, &e.below, l.below, now)
	if missing := len(l.rows) - len(e.rows.slots); missing > 0 {
		e.rows.grow(e.item, missing+spare)
	}
	d.place(&e.rows, l.rows, now)
}

// A strip is a run of slots under one parent. A slot is an entry that shows one row at a time.
type strip struct{ slots []*slot }

type slot struct {
	*entry
	live  bool      // the slot shows the row of its key
	since time.Time // when its last row left
}

func (s *strip) grow(parent node, n int) {
	for range n {
		s.slots = append(s.slots, &slot{entry: newEntry(parent, branch, "")})
	}
}

// used returns how many of the slots show a row.
func (s *strip) used() (n int) {
	for _, slot := range s.slots {
		if slot.live {
			n++
		}
	}
	return n
}

// place shows rows in the slots of a strip. Rows keep their slots as far as arrange allows.
func (d *drawer) place(s *strip, rows []line, now time.Time) {
	if len(s.slots) == 0 {
		return
	}
	places, want := make([]slotState, len(s.slots)), make([]server.ID, len(rows))
	for i, slot := range s.slots {
		places[i] = slotState{slot.key.id, slot.live, slot.since}
	}
	for i, r := range rows {
		want[i] = r.key.id
	}
	target := make(map[int]line, len(rows))
	for i, at := range arrange(places, want, now.Add(-linger)) {
		target[at] = rows[i]
	}
	for i, slot := range s.slots {
		r, wanted := target[i]
		if slot.live && (!wanted || slot.key != r.key) {
			slot.live, slot.since = false, now
		}
		if !wanted {
			slot.hide()
			continue
		}
		slot.live = true
		d.show(slot.entry, r, now)
	}
}

// retire takes the entries below an entry out of the menu. They belong to its key, and another key gets new entries. So
// a visible Stop never becomes the Stop of another server. Retired entries keep their clicks until they are removed.
func (d *drawer) retire(e *entry, since time.Time) {
	for _, c := range e.below {
		c.hide()
		d.dead = append(d.dead, deadEntry{c, since})
	}
	e.below = nil
}

// A deadEntry is an entry of a removed row.
type deadEntry struct {
	*entry
	since time.Time
}

func (d *drawer) strips() []*strip {
	all := []*strip{&d.top}
	for _, e := range d.tail {
		if len(e.rows.slots) > 0 {
			all = append(all, &e.rows)
		}
	}
	return all
}

// sweep removes entries after linger: those of removed rows, and the free slots of a submenu with many.
func (d *drawer) sweep(now time.Time) {
	over := func(since time.Time) bool { return now.Sub(since) >= linger }
	free := func(s *slot) bool { return !s.live && over(s.since) }
	strips := d.strips()
	for _, s := range strips {
		for _, slot := range s.slots {
			if free(slot) {
				d.retire(slot.entry, slot.since)
				slot.key = rowKey{}
			}
		}
	}
	d.dead = slices.DeleteFunc(d.dead, func(e deadEntry) bool {
		if over(e.since) {
			e.item.Remove()
		}
		return over(e.since)
	})
	for _, s := range strips[1:] {
		if s.used()*2+spare < len(s.slots) {
			s.slots = slices.DeleteFunc(s.slots, func(slot *slot) bool {
				if free(slot) {
					slot.item.Remove()
				}
				return free(slot)
			})
		}
	}
}

// untidy returns the time to sweep, if many entries wait to be removed. A few can wait for the next change of the menu.
func (d *drawer) untidy() (due time.Time, ok bool) {
	waiting := 0
	for _, s := range d.strips() {
		for _, slot := range s.slots {
			if !slot.live && len(slot.below) > 0 {
				waiting++
				if slot.since.After(due) {
					due = slot.since
				}
			}
		}
	}
	for _, e := range d.dead {
		if e.since.After(due) {
			due = e.since
		}
	}
	return due.Add(linger), waiting+len(d.dead) > slotCount
}

// escaped returns a label in a form that the system shows unchanged.
func escaped(label string) string {
	return mnemonics(owner.LeftToRight(label), runtime.GOOS, os.Getenv("XDG_CURRENT_DESKTOP"))
}
