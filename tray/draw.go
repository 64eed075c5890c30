package tray

import (
	"fmt"
	"slices"
	"time"

	"porttray/watcher"
)

const (
	slotCount = 4 * maxRows // at the top level: so many that a new row nearly always finds a free one between its neighbours
	spare     = 16          // slots more than needed when those of a submenu do not suffice
	// linger is how long what was taken out of the menu can still be clicked, because a panel may still show it. Until then it
	// is only hidden: removing an item while a click on it is under way makes systray panic.
	linger = time.Minute
)

// A node is a part of the menu that others can be appended to, as systray has it. Items cannot be moved or inserted.
type node interface {
	Add(label string) item
	AddCheck(label string, checked bool) item
	AddSeparator()
}

// An item is one entry of the menu. Each call of a method can cost the panel a look at the whole menu, so draw makes none that
// changes nothing.
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

// A face is the rest of the tray: what is outside of the menu.
type face interface {
	SetIcon(count int, attention bool)
	SetTooltip(string)
	Commit() // the menu is drawn, and the panel can be told what has changed in it
}

// A click says which item was clicked. Whatever it acts on was settled when the item was made, not when the click is handled.
type click struct {
	action action
	id     watcher.ID
	target target
	who    string // the process or container whose row it is
	text   string // what to copy
	mode   mode   // of notices
	mark   mark   // what to pin or hide, or no longer
}

// click returns a click on one of the row's entries.
func (r row) click(a action) click {
	return click{action: a, id: r.id, target: r.target, who: r.who}
}

type action int

const (
	open action = iota
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
	none // too many others run
)

// A drawer brings what is on the screen in line with a menu, with as few changes as possible. It belongs to one goroutine.
type drawer struct {
	face   face
	clicks chan click
	shown  menu

	header *entry
	latest *entry
	goes   func()  // ends the forwarding of latest; nil if there is none
	top    strip   // the first rows
	more   submenu // the other rows of the main list
	other  submenu // the rows under Other
	recent recentMenu
	modes  []*entry // in the order of modes
	pause  *entry
	login  *entry
	hidden hiddenMenu
	about  *entry
	dead   []deadLeaf // waiting to be removed
}

// newDrawer builds the menu under root, with no rows as yet. The face must show v already.
func newDrawer(root node, f face, v menu) *drawer {
	d := &drawer{face: f, clicks: make(chan click, 32)}
	d.header = newEntry(root, v.header, false)
	d.latest = newEntry(root, "", true)
	d.latest.hide()
	d.top = strip{parent: root}
	d.top.grow(slotCount)
	d.more, d.other = newSubmenu(root), newSubmenu(root)
	d.recent.entry = newEntry(root, "Recently closed", true)
	d.recent.hide()
	root.AddSeparator()
	notices := newEntry(root, "Notifications", true)
	for _, m := range modes {
		e := newCheck(notices.item, m.label, m.mode == v.mode)
		d.forward(e.item, click{action: setMode, mode: m.mode})
		d.modes = append(d.modes, e)
	}
	notices.item.AddSeparator()
	d.pause = newEntry(notices.item, v.pause, true)
	d.forward(d.pause.item, click{action: pause})
	preferences := newEntry(root, "Settings", true)
	d.login = newCheck(preferences.item, "Start at login", v.atLogin)
	d.forward(d.login.item, click{action: atLogin})
	d.forward(newEntry(preferences.item, "Open settings file", true).item, click{action: openSettings})
	d.about = newEntry(root, v.about, true)
	d.forward(d.about.item, click{action: about})
	d.forward(newEntry(root, "Quit", true).item, click{action: quit})
	d.shown = menu{count: v.count, attention: v.attention, tooltip: v.tooltip, header: v.header, mode: v.mode, pause: v.pause,
		atLogin: v.atLogin, about: v.about}
	return d
}

// drawFace changes what is shown outside of the menu to v. It never disturbs an open menu.
func (d *drawer) drawFace(v menu) {
	if v.count != d.shown.count || v.attention != d.shown.attention {
		d.face.SetIcon(v.count, v.attention)
	}
	if v.tooltip != d.shown.tooltip {
		d.face.SetTooltip(v.tooltip)
	}
	d.shown.count, d.shown.attention, d.shown.tooltip = v.count, v.attention, v.tooltip
}

// draw changes what is on the screen from what was drawn last to v.
func (d *drawer) draw(v menu, now time.Time) {
	d.drawFace(v)
	d.header.show(v.header, false)
	d.drawLatest(v.latest)
	d.recent.draw(d, v.recent)
	for i, m := range modes {
		d.modes[i].check(m.mode == v.mode)
	}
	d.pause.show(v.pause, true)
	d.login.check(v.atLogin)
	if changed := !slices.Equal(v.rows, d.shown.rows); changed || !slices.Equal(v.other, d.shown.other) {
		if changed {
			n := min(len(v.rows), maxRows)
			d.place(&d.top, v.rows[:n], now)
			d.placeUnder(&d.more, "More", v.rows[n:], now)
		}
		if len(v.other) > 0 && d.hidden.entry == nil {
			d.other.show(fmt.Sprintf("Other (%d)", len(v.other)), true)
			d.drawHidden(v)
		}
		if len(v.other) > 0 || len(d.shown.other) > 0 {
			d.placeUnder(&d.other, "Other", v.other, now)
		}
		d.sweep(now)
	}
	d.drawHidden(v)
	d.shown = v
	d.face.Commit()
}

// drawLatest shows the latest event, if there is one.
func (d *drawer) drawLatest(latest entryText) {
	if latest == d.shown.latest {
		return
	}
	if d.goes != nil {
		d.goes()
		d.goes = nil
	}
	if latest.label != "" {
		d.goes = d.forward(d.latest.item, click{action: showLatest, id: latest.id})
	}
	d.latest.showIf(latest.label, true)
}

// placeUnder shows rows in a submenu, which itself is shown only if there are any.
func (d *drawer) placeUnder(s *submenu, label string, rows []row, now time.Time) {
	if len(rows) > 0 {
		// Before it gets its first child: Windows cannot hang a submenu on a hidden item.
		s.show(fmt.Sprintf("%s (%d)", label, len(rows)), true)
	}
	if missing := len(rows) - len(s.slots); missing > 0 {
		s.grow(missing + spare)
	}
	d.place(&s.strip, rows, now)
	if len(rows) == 0 {
		s.hide()
	}
}

// place shows rows in the slots of a strip.
func (d *drawer) place(s *strip, rows []row, now time.Time) {
	want := make([]watcher.ID, len(rows))
	for i, r := range rows {
		want[i] = r.id
	}
	target := make(map[int]row, len(rows))
	for i, at := range arrange(s.places(), want, now.Add(-linger)) {
		target[at] = rows[i]
	}
	for i, slot := range s.slots {
		r, wanted := target[i]
		if slot.live && (!wanted || slot.row.id != r.id || slot.row.target != r.target) {
			d.retire(slot, now)
		}
		if wanted {
			d.bind(slot, r)
		} else {
			slot.hide()
		}
	}
}

// bind shows a row in a slot that is free or shows that row already.
func (d *drawer) bind(s *slot, r row) {
	if s.live && s.row == r {
		return
	}
	if s.open == nil {
		s.show(r.label, true) // first: see placeUnder
		s.build(r)
	}
	for i, fact := range r.facts {
		s.facts[i].showIf(fact, false)
	}
	offer := func(e *entry, label string, offered bool) { e.showIf(map[bool]string{true: label}[offered], true) }
	offer(s.open, "Open in browser", !r.absent)
	offer(s.copy, "Copy address", !r.absent)
	offer(s.network, "Copy network address", r.network)
	offer(s.terminal, "Open terminal in its directory", r.dir)
	offer(s.mute, "Mute notifications", !r.absent)
	offer(s.conceal, "Hide", !r.absent)
	if r.absent && s.restart == nil {
		s.restart = newEntry(s.item, "Copy restart command", true)
	}
	if s.restart != nil {
		offer(s.restart, "Copy restart command", r.restart != "")
	}
	if !s.live {
		s.release()
		s.unbind = []func(){
			d.forward(s.open.item, r.click(open)),
			d.forward(s.copy.item, r.click(copyAddress)),
			d.forward(s.network.item, r.click(copyNetwork)),
			d.forward(s.mute.item, r.click(mute)),
			d.forward(s.terminal.item, r.click(openTerminal)),
		}
		s.stop = d.newLeaf(s, r.stop, r.click(stop))
		s.kill = d.newLeaf(s, r.kill, r.click(kill))
	}
	d.bindNames(s, r)
	s.stop.showIf(r.stop.label, r.stop.enabled)
	s.kill.showIf(r.kill.label, r.kill.enabled)
	s.mute.check(r.muted)
	if s.pin.check(r.pinned); r.byRule {
		s.pin.show("Pinned by the settings file", false)
	} else {
		s.pin.show("Pin", true)
	}
	d.bindPorts(s, r)
	s.show(r.label, true)
	s.row, s.live = r, true
}

// bindNames has the entries of a row act on what its server is called, which may become known, or change, while it is shown.
func (d *drawer) bindNames(s *slot, r row) {
	if s.live && s.row.mark == r.mark && s.row.restart == r.restart {
		return
	}
	s.releaseNames()
	s.unbindNames = []func(){
		d.forward(s.pin.item, click{action: pin, mark: r.mark}),
		d.forward(s.conceal.item, click{action: hide, mark: r.mark}),
	}
	if r.absent {
		s.unbindNames = append(s.unbindNames, d.forward(s.restart.item, click{action: copyThis, text: r.restart}))
	}
}

// bindPorts shows the further ports of a row. Their entries are made when they are first needed, and serve one port after the
// other: all that they do is open it.
func (d *drawer) bindPorts(s *slot, r row) {
	s.also.showIf(r.also, true) // first: see placeUnder
	for i, p := range r.ports {
		if i == len(s.ports) {
			if p.label == "" {
				break
			}
			s.ports = append(s.ports, portEntry{entry: newEntry(s.also.item, p.label, true)})
		}
		e := &s.ports[i]
		if e.unbind != nil && (p.label == "" || e.id != p.id) {
			e.unbind()
			e.unbind = nil
		}
		if e.showIf(p.label, true); p.label != "" && e.unbind == nil {
			e.id, e.unbind = p.id, d.forward(e.item, click{action: open, id: p.id, who: r.who})
		}
	}
}

// newLeaf makes an item that belongs to one listener for good.
func (d *drawer) newLeaf(s *slot, c command, on click) *entry {
	leaf := newEntry(s.item, c.label, c.enabled)
	d.forward(leaf.item, on)
	return leaf
}

// retire takes a slot from its row. The row's Stop and Kill are never used for another one: they stay what they are until they
// are removed, and are only hidden when the slot shows another row.
func (d *drawer) retire(s *slot, now time.Time) {
	s.live, s.since = false, now
	for _, leaf := range []*entry{s.stop, s.kill} {
		d.dead = append(d.dead, deadLeaf{leaf, now})
	}
}

// sweep removes what has been out of sight for long enough: dead leaves and, where there are many, free slots of submenus.
func (d *drawer) sweep(now time.Time) {
	over := func(since time.Time) bool { return now.Sub(since) >= linger }
	for _, s := range slices.Concat(d.top.slots, d.more.slots, d.other.slots) {
		if !s.live && over(s.since) {
			s.release()
		}
	}
	d.dead = slices.DeleteFunc(d.dead, func(l deadLeaf) bool {
		if over(l.since) {
			l.item.Remove()
		}
		return over(l.since)
	})
	for _, under := range []*submenu{&d.more, &d.other} {
		if under.used()*2+spare >= len(under.slots) {
			continue
		}
		under.slots = slices.DeleteFunc(under.slots, func(s *slot) bool {
			free := !s.live && over(s.since)
			if free {
				s.item.Remove()
			}
			return free
		})
	}
}

// untidy returns when to sweep, if so much waits to be removed that it should not wait for the next change of the menu.
func (d *drawer) untidy() (due time.Time, ok bool) {
	if len(d.dead) <= slotCount {
		return time.Time{}, false
	}
	return d.dead[len(d.dead)-1].since.Add(linger), true
}

// forward sends clicks on an item to the drawer's clicks.
func (d *drawer) forward(from item, as click) (end func()) { return from.Forward(d.clicks, as) }

// A deadLeaf is a Stop or Kill whose listener has left the menu.
type deadLeaf struct {
	*entry
	since time.Time
}

// A strip is a line of slots under one parent.
type strip struct {
	parent node
	slots  []*slot
}

// grow appends n free slots.
func (s *strip) grow(n int) {
	for range n {
		e := newEntry(s.parent, "", true)
		e.hide()
		s.slots = append(s.slots, &slot{entry: e})
	}
}

// used returns how many of the slots show a row.
func (s *strip) used() int {
	n := 0
	for _, slot := range s.slots {
		if slot.live {
			n++
		}
	}
	return n
}

func (s *strip) places() []place {
	result := make([]place, len(s.slots))
	for i, slot := range s.slots {
		result[i] = place{slot.row.id, slot.live, slot.since}
	}
	return result
}

// A submenu is an item with a strip under it. It is hidden while it has no rows.
type submenu struct {
	*entry
	strip
}

func newSubmenu(parent node) submenu {
	e := newEntry(parent, "", true)
	e.hide()
	return submenu{e, strip{parent: e.item}}
}

// A slot is an item that shows one row at a time, with its submenu. The submenu is made when the slot is first used; the items
// above its Stop and Kill serve one row after the other.
type slot struct {
	*entry
	row   row
	live  bool      // row is shown
	since time.Time // when the last row left

	open, copy, network, terminal, restart *entry
	also, mute, pin, conceal               *entry
	ports                                  []portEntry // under also
	facts                                  [len(row{}.facts)]*entry
	stop, kill                             *entry
	unbind, unbindNames                    []func() // end the forwarding of all but stop and kill
}

// A portEntry is the entry of a further port.
type portEntry struct {
	*entry
	id     watcher.ID
	unbind func() // ends the forwarding; nil if there is none
}

// build makes the submenu, with all that any row may need, because items can only be appended.
func (s *slot) build(r row) {
	s.open = newEntry(s.item, "Open in browser", true)
	s.copy = newEntry(s.item, "Copy address", true)
	s.network = newEntry(s.item, "Copy network address", true)
	s.also = newEntry(s.item, r.also, true)
	s.terminal = newEntry(s.item, "Open terminal in its directory", true)
	s.pin = newCheck(s.item, "Pin", r.pinned)
	s.mute = newCheck(s.item, "Mute notifications", r.muted)
	s.conceal = newEntry(s.item, "Hide", true)
	s.item.AddSeparator()
	for i := range s.facts {
		s.facts[i] = newEntry(s.item, r.facts[i], false)
	}
	s.item.AddSeparator()
}

// releaseNames undoes bindNames.
func (s *slot) releaseNames() {
	for _, end := range s.unbindNames {
		end()
	}
	s.unbindNames = nil
}

// release lets go of the row that the slot showed last.
func (s *slot) release() {
	for _, end := range s.unbind {
		end()
	}
	s.unbind = nil
	s.releaseNames()
	for i := range s.ports {
		if end := s.ports[i].unbind; end != nil {
			end()
			s.ports[i].unbind = nil
		}
	}
	if s.stop != nil {
		s.stop.hide()
		s.kill.hide()
		s.stop, s.kill = nil, nil
	}
}
