package tray

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// A recorder replaces systray in tests. It keeps the menu as a panel would show it, and counts the calls.
type recorder struct {
	mu        sync.Mutex // guards everything below, the items' fields too
	calls     int
	count     int
	attention bool
	tooltip   string
	root      *fakeItem
}

func newRecorder() *recorder {
	r := &recorder{}
	r.root = &fakeItem{all: r}
	return r
}

func (r *recorder) SetIcon(count int, attention bool) {
	defer r.call()()
	if r.count == count && r.attention == attention {
		panic("a call that changes nothing")
	}
	r.count, r.attention = count, attention
}

func (r *recorder) SetTooltip(text string) {
	defer r.call()()
	r.tooltip = text
}

func (r *recorder) Commit() {}

// call counts a call and locks the recorder. The caller unlocks it with the returned function.
func (r *recorder) call() func() {
	r.mu.Lock()
	r.calls++
	return r.mu.Unlock
}

// state returns the number of calls so far and the number on the badge.
func (r *recorder) state() (calls, badge int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls, r.count
}

type fakeItem struct {
	all      *recorder
	kind     kind
	label    string
	history  []string // all labels it ever had
	disabled bool
	checked  bool
	hidden   bool
	removed  bool
	clicks   chan struct{}
	children []*fakeItem
}

func (i *fakeItem) Add(label string, k kind) item {
	defer i.all.call()()
	child := &fakeItem{all: i.all, kind: k, label: label, history: []string{label}, clicks: make(chan struct{})}
	i.children = append(i.children, child)
	if i.hidden {
		panic("a submenu of a hidden item, which Windows cannot show")
	}
	if i != i.all.root && i.kind != branch {
		panic("a submenu of an item that never had one, which Plasma cannot show")
	}
	return child
}

func (i *fakeItem) SetTitle(label string) {
	defer i.all.call()()
	if i.label == label {
		panic("a call that changes nothing")
	}
	i.label = label
	i.history = append(i.history, label)
}

func (i *fakeItem) set(flag *bool, to bool) {
	defer i.all.call()()
	if *flag == to {
		panic("a call that changes nothing")
	}
	*flag = to
}

func (i *fakeItem) Enable()  { i.set(&i.disabled, false) }
func (i *fakeItem) Disable() { i.set(&i.disabled, true) }
func (i *fakeItem) Show()    { i.set(&i.hidden, false) }
func (i *fakeItem) Hide()    { i.set(&i.hidden, true) }
func (i *fakeItem) Check()   { i.set(&i.checked, true) }
func (i *fakeItem) Uncheck() { i.set(&i.checked, false) }

func (i *fakeItem) Forward(to chan<- click, as click) (end func()) {
	return forwardClicks(i.clicks, to, as)
}

func (i *fakeItem) Remove() {
	if !i.hidden {
		panic("removed while it can be clicked")
	}
	i.set(&i.removed, true)
	i.close()
}

// close ends the clicks of an item and of everything below it.
func (i *fakeItem) close() {
	if i.clicks != nil {
		close(i.clicks)
		i.clicks = nil
	}
	for _, c := range i.children {
		if !c.removed {
			c.close()
		}
	}
}

// text returns the visible menu, one entry per line.
func (i *fakeItem) text() string {
	i.all.mu.Lock()
	defer i.all.mu.Unlock()
	var b strings.Builder
	i.write(&b, "")
	return b.String()
}

func (i *fakeItem) write(b *strings.Builder, indent string) {
	for _, c := range i.children {
		switch {
		case c.hidden || c.removed:
		case c.kind == separator:
			fmt.Fprintf(b, "%s─────\n", indent)
		case c.disabled:
			fmt.Fprintf(b, "%s(%s)\n", indent, c.label)
		default:
			fmt.Fprintf(b, "%s%s\n", indent, withMark(c.label, c.kind, c.checked))
			c.write(b, indent+"    ")
		}
	}
}

// find returns the visible item at a path of label prefixes.
func (i *fakeItem) find(path ...string) *fakeItem {
	i.all.mu.Lock()
	defer i.all.mu.Unlock()
	for _, label := range path {
		at := slices.IndexFunc(i.children, func(c *fakeItem) bool {
			return !c.hidden && !c.removed && strings.HasPrefix(c.label, label)
		})
		if at < 0 {
			return nil
		}
		i = i.children[at]
	}
	return i
}

// expected returns the text of the menu for v.
func expected(v menu) string {
	var b strings.Builder
	writeLines(&b, "", slices.Concat(v.head, v.rows, v.tail))
	return b.String()
}

// withMark adds a mark for the kind of an entry.
func withMark(label string, k kind, checked bool) string {
	switch {
	case checked:
		return "✓ " + label
	case k == check || k == radio:
		return "☐ " + label
	case k == branch:
		return label + " ▸"
	}
	return label
}

func writeLines(b *strings.Builder, indent string, lines []line) {
	for _, l := range lines {
		switch {
		case l.kind == separator:
			fmt.Fprintf(b, "%s─────\n", indent)
		case l.label == "":
		case l.grey:
			fmt.Fprintf(b, "%s(%s)\n", indent, l.label)
		default:
			fmt.Fprintf(b, "%s%s\n", indent, withMark(l.label, l.kind, l.checked))
			writeLines(b, indent+"    ", slices.Concat(l.below, l.rows))
		}
	}
}

// menuOf returns a menu for the servers of these listeners.
func menuOf(listeners ...server.Listener) menu { return view(modelOf(listeners...)) }

// modelOf returns the model of a loop with these listeners. Ports from 32768 on are dynamic.
func modelOf(listeners ...server.Listener) model {
	m := model{version: "v1", goos: "linux", mode: myServers, snapshot: lists(listeners...)}
	m.snapshot.Time, m.servers = noon, m.snapshot.Servers
	return m
}

func newTestDrawer() (*drawer, *recorder) {
	r := newRecorder()
	return newDrawer(r.root, r, menuOf()), r
}

func TestDrawShowsTheMenu(t *testing.T) {
	d, r := newTestDrawer()
	container, other := serverAt(81, 3, "0.0.0.0"), serverAt(40000, 4)
	container.Container = engine.Container{ID: "a1", Name: "shop-web-1", Image: "nginx"}
	other.Owner.Dir, other.Owner.Foreign = "", true
	blog := mark{server.Key{Program: "blog"}, 5173, "blog · Vite"}
	shop := mark{server.Key{Program: "shop"}, 3000, "shop"}
	with := func(m model, change func(*model)) menu {
		change(&m)
		return view(m)
	}
	absent := modelOf(serverAt(80, 2), serverAt(3000, 1))
	absent.pinned, absent.commands = []mark{blog, shop}, map[server.Key]string{{Program: "shop"}: "cd /srv && shop"}
	for _, v := range []menu{
		with(modelOf(), func(m *model) { m.hidden, m.atLogin = []mark{blog}, true }),
		with(modelOf(other), func(m *model) { m.hidden = []mark{blog, shop} }),
		with(modelOf(other), func(m *model) { m.hidden, m.wrong = []mark{blog}, errors.New("config.toml line 3: no") }),
		menuOf(),
		view(absent), menuOf(serverAt(80, 2), serverAt(3000, 1)), view(absent),
		menuOf(), menuOf(serverAt(3000, 1)), menuOf(serverAt(80, 2), serverAt(3000, 1)),
		menuOf(serverAt(80, 2)), menuOf(),
		menuOf(serverAt(80, 2), container, serverAt(3000, 1), serverAt(3001, 1), serverAt(3002, 1), other),
		menuOf(serverAt(80, 2, "::"), container, serverAt(3000, 1), serverAt(3002, 1), serverAt(3003, 1, "::")),
		menuOf(serverAt(80, 1), serverAt(81, 1), serverAt(82, 2), serverAt(83, 2), serverAt(83, 3, "::1"), other),
		menuOf(other), menuOf(),
	} {
		d.draw(v, noon)
		if got, want := r.root.text(), expected(v); got != want {
			t.Errorf("drawn:\n%s\nwant:\n%s", got, want)
		}
		if r.count != v.count || v.count > 0 && r.tooltip != v.tooltip {
			t.Errorf("the icon shows %d and %q, want %d and %q", r.count, r.tooltip, v.count, v.tooltip)
		}
	}
}

func TestDrawOfTheSameMenuCallsNothing(t *testing.T) {
	d, r := newTestDrawer()
	v := menuOf(serverAt(80, 2), serverAt(3000, 1))
	d.draw(v, noon)
	before := r.calls
	d.draw(menuOf(serverAt(80, 2), serverAt(3000, 1)), noon.Add(time.Hour))
	if r.calls != before {
		t.Errorf("%d calls for a menu that did not change", r.calls-before)
	}
}

// A change at any place in the menu touches nothing else.
func TestDrawTouchesOnlyWhatChanges(t *testing.T) {
	d, r := newTestDrawer()
	rows := []server.Listener{serverAt(1000, 1), serverAt(2000, 2), serverAt(3000, 3), serverAt(4000, 4)}
	d.draw(menuOf(rows...), noon)
	labels := func() (all []string) {
		for _, port := range []string{"1000", "2000", "3000", "4000"} {
			all = append(all, r.root.find(port).history...)
		}
		return all
	}
	before := labels()

	calls := r.calls
	d.draw(menuOf(slices.Insert(slices.Clone(rows), 1, serverAt(1500, 5))...), noon)
	if made := r.calls - calls; made > 36 {
		t.Errorf("a new row took %d calls", made)
	}
	calls = r.calls
	d.draw(menuOf(rows...), noon)
	if made := r.calls - calls; made > 4 { // the badge, the tooltip, the header, the row
		t.Errorf("the end of a row took %d calls", made)
	}
	if after := labels(); !slices.Equal(before, after) {
		t.Errorf("the other rows were relabelled: %q, before %q", after, before)
	}
}

// After random changes the menu is right. A Stop or Kill keeps its listener, and a click names that of its label.
func TestDrawRandomly(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d, r := newTestDrawer()
		now := noon
		leaves := map[*fakeItem]string{}
		listeners := map[int]server.Listener{}
		for step := range 100 {
			for range 1 + rng.IntN(8) {
				port := 3000 + rng.IntN(24+int(seed)*4)
				if _, ok := listeners[port]; ok && rng.IntN(3) > 0 {
					delete(listeners, port)
				} else {
					l := serverAt(uint16(port), int32(1+rng.IntN(1000)), []string{"127.0.0.1", "::"}[rng.IntN(2)])
					l.Owner.Foreign = l.Owner.PID%5 == 0
					listeners[port] = l
				}
			}
			now = now.Add(time.Duration(rng.IntN(40)) * time.Second)
			var sorted []server.Listener
			for port := range 4000 {
				if l, ok := listeners[port]; ok {
					sorted = append(sorted, l)
				}
			}
			v := menuOf(sorted...)
			d.draw(v, now)
			if got, want := r.root.text(), expected(v); got != want {
				t.Fatalf("seed %d, step %d: drawn:\n%s\nwant:\n%s", seed, step, got, want)
			}
			checkLeaves(t, r.root, leaves)
		}
	}
}

// checkLeaves makes sure that no Stop or Kill has changed its label.
func checkLeaves(t *testing.T, i *fakeItem, seen map[*fakeItem]string) {
	for _, c := range i.children {
		if label := strings.TrimSpace(c.label); strings.HasPrefix(label, "Stop ") || strings.HasPrefix(label, "Kill ") {
			if was, ok := seen[c]; ok && was != c.label {
				t.Fatalf("%q became %q", was, c.label)
			}
			seen[c] = c.label
		}
		checkLeaves(t, c, seen)
	}
}

// This is TestDrawRandomly with inline submenus. Pins, further ports, restart commands and refusals come and go.
func TestDrawRandomlyInline(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d, r := newTestDrawer()
		now := noon
		leaves := map[*fakeItem]string{}
		for step := range 100 {
			var all []server.Listener
			m := modelOf()
			m.commands = map[server.Key]string{}
			for i := range 4 + rng.IntN(12) {
				l := serverAt(uint16(3000+i*10), int32(1+i), []string{"127.0.0.1", "::"}[rng.IntN(2)])
				if rng.IntN(4) == 0 {
					l.Owner.Refusal = "another user's process"
				}
				key := l.Key()
				if rng.IntN(3) == 0 {
					m.pinned = append(m.pinned, mark{key, l.Port, "node"})
				}
				if rng.IntN(2) == 0 {
					m.commands[key] = "cd /srv && node ."
				}
				if rng.IntN(5) > 0 { // the server runs
					all = append(all, l)
					for extra := range rng.IntN(8) {
						all = append(all, serverAt(uint16(3001+i*10+extra), int32(1+i)))
					}
				}
				if rng.IntN(6) == 0 {
					m.hidden = append(m.hidden, mark{server.Key{Port: uint16(9000 + i)}, uint16(9000 + i), "hidden"})
				}
				m.recent[min(i, maxRecent-1)] = closedServer{now, server.Alone(l), ""}
			}
			lists := modelOf(all...)
			m.snapshot, m.servers, m.inline = lists.snapshot, lists.servers, true
			v := view(m)
			now = now.Add(time.Duration(rng.IntN(40)) * time.Second)
			d.draw(v, now)
			if got, want := r.root.text(), expected(v); got != want {
				t.Fatalf("seed %d, step %d: drawn:\n%s\nwant:\n%s", seed, step, got, want)
			}
			checkLeaves(t, r.root, leaves)
			checkInline(t, v)
		}
	}
}

// checkInline makes sure that no submenu is within a submenu, and that those of rows have few entries.
func checkInline(t *testing.T, v menu) {
	t.Helper()
	if len(v.rows) > inlineRows {
		t.Fatalf("%d rows are direct", len(v.rows))
	}
	for _, l := range slices.Concat(v.rows, v.tail) {
		for _, c := range l.below {
			if c.kind == branch && c.label != "" {
				t.Fatalf("%q is a submenu in %q", c.label, l.label)
			}
		}
		if len(l.rows) > 0 {
			t.Fatalf("%q has rows of its own", l.label)
		}
	}
	for _, r := range v.rows {
		if n := visible(r.below); n > maxInline {
			t.Fatalf("%q has %d entries:\n%q", r.label, n, texts(r.below))
		}
	}
}

func TestDrawFace(t *testing.T) {
	d, r := newTestDrawer()
	v := menuOf(serverAt(3000, 1))
	for _, attention := range []bool{false, true, true, false} {
		v.attention = attention
		d.drawIcon(v)
		if r.count != 1 || r.attention != attention {
			t.Errorf("the icon shows %d and attention %v, want 1 and %v", r.count, r.attention, attention)
		}
	}
}

func TestClicksNameTheirListener(t *testing.T) {
	d, r := newTestDrawer()
	d.draw(menuOf(serverAt(3000, 1)), noon)
	old := r.root.find("3000", "Stop")
	d.draw(menuOf(), noon)
	d.draw(menuOf(serverAt(3000, 2)), noon) // takes the same slot
	for _, c := range []struct {
		item *fakeItem
		want click
	}{
		{old, clickOn(serverAt(3000, 1), stop)},
		{r.root.find("3000", "Stop"), clickOn(serverAt(3000, 2), stop)},
		{r.root.find("3000", "Kill"), clickOn(serverAt(3000, 2), kill)},
		{r.root.find("3000", "Open"), clickOn(serverAt(3000, 2), open)},
		{r.root.find("3000", "Copy"), clickOn(serverAt(3000, 2), copyAddress)},
		{r.root.find("Settings", "About"), click{action: about}},
		{r.root.find("Quit"), click{action: quit}},
	} {
		c.item.clicks <- struct{}{}
		if got := <-d.clicks; got != c.want {
			t.Errorf("a click on %q became %+v, want %+v", c.item.label, got, c.want)
		}
	}
}

// A pin or hide entry uses the server's current name, even if the name changed while the row was shown.
func TestClicksNameTheServerAsItIsCalled(t *testing.T) {
	d, r := newTestDrawer()
	l := serverAt(3000, 1)
	d.draw(menuOf(l), noon)
	known := l
	known.Facts.Project.Dir, known.Label = "/srv/shop", "Shop"
	for _, l := range []server.Listener{known, l} {
		v := menuOf(l)
		d.draw(v, noon)
		for label, a := range map[string]action{"Pin": pin, "Hide": hide} {
			r.root.find("3000", label).clicks <- struct{}{}
			want := click{action: a, mark: mark{l.Key(), l.Port, modelOf(l).servers[0].Title}}
			if got := <-d.clicks; got != want {
				t.Errorf("a click on %s became %+v, want %+v", label, got, want)
			}
		}
	}
}

// clickOn returns the click on an entry of a listener's row.
func clickOn(l server.Listener, a action) click {
	return click{action: a, id: l.ID(), target: l.Target(), who: who(l)}
}

// After hundreds of rows have come and gone, their items are removed.
func TestSweepGivesBack(t *testing.T) {
	d, r := newTestDrawer()
	round := func(now time.Time) {
		var many []server.Listener
		for port := range uint16(300) {
			many = append(many, serverAt(3000+port, int32(port)+1))
		}
		d.draw(menuOf(many...), now)
		d.draw(menuOf(), now)
		due, ok := d.untidy()
		if !ok || !due.Equal(now.Add(linger)) {
			t.Fatalf("300 dead rows are to be swept at %v (%v)", due, ok)
		}
		d.sweep(due)
		if _, ok := d.untidy(); ok {
			t.Fatal("untidy after the sweep")
		}
	}
	round(noon)
	first := r.root.size()
	round(noon.Add(time.Hour))
	if second := r.root.size(); second > first {
		t.Errorf("%d items are left after the second round, %d after the first", second, first)
	}
	if limit := slotCount*17 + 20; first > limit {
		t.Errorf("%d items are left, want at most %d", first, limit)
	}
}

// size returns the number of items below this one, including hidden ones.
func (i *fakeItem) size() int {
	i.all.mu.Lock()
	defer i.all.mu.Unlock()
	return i.count()
}

func (i *fakeItem) count() int {
	n := 0
	for _, c := range i.children {
		if !c.removed {
			n += 1 + c.count()
		}
	}
	return n
}

func BenchmarkDraw(b *testing.B) {
	var rows []server.Listener
	for port := range uint16(50) {
		rows = append(rows, serverAt(3000+port, int32(port)+1))
	}
	for _, c := range []struct {
		name string
		odd  menu
	}{{"unchanged", menuOf(rows...)}, {"one row changes", menuOf(rows[1:]...)}} {
		b.Run(c.name, func(b *testing.B) {
			d, _ := newTestDrawer()
			even := menuOf(rows...)
			now := noon
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(linger)
				d.draw(even, now)
				d.draw(c.odd, now)
			}
		})
	}
}
