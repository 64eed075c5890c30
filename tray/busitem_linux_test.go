package tray

import (
	"fmt"
	"slices"
	"testing"
)

// A removed item leaves nothing behind: panels cannot name it, and it takes no memory.
func TestRemovedItemsAreForgotten(t *testing.T) {
	m := newBusMenu(newBusQueue(nil), nil)
	m.root.Add("stays", branch).Add("too", plain)
	count := func() int { return len(m.items) }
	before := count()
	for range 3 {
		submenu := m.root.Add("goes", branch)
		submenu.Add("", separator)
		submenu.Add("with it", branch).Add("and what is below", check)
		alone := submenu.Add("goes before", plain)
		alone.Remove()
		if got := count(); got != before+4 {
			t.Errorf("there are %d items, want %d", got, before+4)
		}
		submenu.Remove()
		m.commit()
		if got := count(); got != before || len(m.root.children) != 1 || len(m.changed) > 0 {
			t.Errorf("%d items are left, %d at the top level, and %d to tell of, want %d, 1 and 0",
				got, len(m.root.children), len(m.changed), before)
		}
	}
}

// Few panels are remembered, even if many come and go. A forgotten panel is asked once more to read again.
func TestFewPanelsAreRemembered(t *testing.T) {
	m := newBusMenu(newBusQueue(nil), nil)
	m.root.Add("submenu", branch).Add("entry", plain)
	whole := func(sender string) bool {
		_, l, err := m.layout(0, -1, sender)
		if err != nil {
			t.Fatal(err)
		}
		return len(l.Children[0].Value().(busLayout).Children) > 0
	}
	for n := range 3*maxReaders + 1 {
		sender := fmt.Sprintf(":1.%d", n)
		if whole(sender) || !whole(sender) {
			t.Fatalf("%s does not get the top level and then everything", sender)
		}
		if len(m.readers) > maxReaders {
			t.Fatalf("%d panels are remembered, want %d at most", len(m.readers), maxReaders)
		}
	}
	if whole(":1.0") || !whole(":1.0") {
		t.Error("a panel that was forgotten does not get the top level and then everything")
	}
}

// An answer leaves out repeated and unknown items. A request without items means all items.
func TestPropertiesOnce(t *testing.T) {
	m := newBusMenu(newBusQueue(nil), nil)
	m.root.Add("1", branch).Add("2", plain)
	m.root.Add("", separator)
	for _, test := range []struct{ ids, want []int32 }{
		{[]int32{2, 7, 1, 2, 2, 1, -1}, []int32{2, 1}},
		{[]int32{7, 7}, nil},
		{nil, []int32{0, 1, 2, 3}},
	} {
		var got []int32
		for _, p := range m.properties(test.ids) {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("of %v there are %v, want %v", test.ids, got, test.want)
		}
	}
}
