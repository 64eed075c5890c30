package tray

import (
	"os"
	"runtime"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
)

const (
	slotCount = 4 * directRows // slots of the top level: a new row nearly always finds a free one between its neighbours
	spare     = 16             // further slots that a submenu gets when it needs more
	// linger is how long an entry that left the menu can still be clicked. A panel may still show it, and systray panics if
	// an item is removed during a click on it. Until then the entry is only hidden.
	linger = time.Minute
)

// A kind is the sort of an entry. It never changes, because panels read it once.
type kind int

const (
	plain  kind = iota
	branch      // it has a submenu, or may get one
	check
	radio
	separator
)

// A node is a part of the menu that others can be appended to. Items cannot be moved or inserted.
type node interface {
	Add(label string, k kind) item
}

// An item is one entry of the menu as the system has it. Each call can make a panel read the menu, so the drawer calls nothing
// that changes nothing.
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
	Commit() // all is drawn, and the menu is not open; panels can be told
}

// A click is the action of an entry. It is settled when the entry is made, not when the click is handled.
type click struct {
	action action
	id     watcher.ID
	target watcher.Target
	who    string // the process or container whose row it is
	text   string // what to copy
	mode   mode   // of notices
	mark   mark   // what to pin or hide, or no longer
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
	showLatest // go to the server of the latest event
	setMode
	pause
	atLogin
	openSettings
	about
	quit
)

// A drawer brings the screen in line with a menu, with as few changes as possible. It belongs to one goroutine.
type drawer struct {
	face   face
	clicks chan click

	count     int
	attention bool
	tooltip   string

	root       node
	head, tail []*entry
	top        strip
	keys       []rowKey    // of all rows, as drawn last
	dead       []deadEntry // waiting to be removed
}

// newDrawer builds the menu v under root. The face must show v already.
func newDrawer(root node, f face, v menu) *drawer {
	d := &drawer{face: f, clicks: make(chan click, 32), root: root, count: v.count, attention: v.attention, tooltip: v.tooltip}
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
	// Panels read the menu again when its rows change. Old entries are removed along with that.
	if keys := v.keys(); !slices.Equal(keys, d.keys) {
		d.sweep(now)
		d.keys = keys
	}
	d.fill(d.root, &d.head, v.head, now)
	d.place(&d.top, v.rows, now)
	d.fill(d.root, &d.tail, v.tail, now)
}

// An entry is an item with its present state, so that only real changes reach the system.
type entry struct {
	item             item
	kind             kind
	label            string
	enabled, visible bool
	checked          bool
	click            click
	key              rowKey
	unbind           func() // ends the forwarding of clicks; nil if there is none
	below            []*entry
	rows             strip
}

// newEntry appends an entry. Without a label it is hidden.
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

// fill shows lines as entries under parent, the first line in the first entry and so on. Missing entries are appended, and
// surplus ones are hidden.
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

// show makes an entry show a line. Visibility comes last, so that nobody sees an old label, and because Windows shows a hidden
// item that gets a label or state. Children come after that: Windows cannot hang a submenu on a hidden item.
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
	live  bool      // it shows the row of its key
	since time.Time // when its last row left
}

// grow appends n free slots.
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

// place shows rows in the slots of a strip. Rows that have a slot keep it, as far as arrange allows.
func (d *drawer) place(s *strip, rows []line, now time.Time) {
	if len(s.slots) == 0 {
		return
	}
	places, want := make([]place, len(s.slots)), make([]watcher.ID, len(rows))
	for i, slot := range s.slots {
		places[i] = place{slot.key.id, slot.live, slot.since}
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

// retire takes the entries below an entry out of the menu. They belong to its key, and another key gets entries of its own. So a
// Stop on somebody's screen never becomes another server's. Retired entries keep their clicks until they are removed.
func (d *drawer) retire(e *entry, since time.Time) {
	for _, c := range e.below {
		c.hide()
		d.dead = append(d.dead, deadEntry{c, since})
	}
	e.below = nil
}

// A deadEntry is an entry of a row that has left the menu.
type deadEntry struct {
	*entry
	since time.Time
}

// strips returns all that hold rows.
func (d *drawer) strips() []*strip {
	all := []*strip{&d.top}
	for _, e := range d.tail {
		if len(e.rows.slots) > 0 {
			all = append(all, &e.rows)
		}
	}
	return all
}

// sweep removes entries after linger: those of rows that left, and the free slots of a submenu that has many.
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

// untidy returns the time to sweep, if too many entries wait to be removed. Few can wait for the next change of the menu.
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

// escaped escapes a label for the system, which then shows it as it is.
func escaped(label string) string {
	return mnemonics(owner.LeftToRight(label), runtime.GOOS, os.Getenv("XDG_CURRENT_DESKTOP"))
}
