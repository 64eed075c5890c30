//go:build linux

package tray_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/godbus/dbus/v5"
)

// These are the promises about panels that ask for more in a few bytes than a program can afford to answer.

// peak returns how much memory a process has had at most, in bytes.
func (p *process) peak(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("the system does not tell how much memory there was:\n%s", status)
	}
	kilo, _ := strconv.Atoi(string(m[1]))
	return kilo << 10
}

// itemProperties is a part of the answer to GetGroupProperties.
type itemProperties struct {
	ID    int32
	Props map[string]dbus.Variant
}

// Who asks for the same item many times gets it once.
func TestPanelAsksForOneItemManyTimes(t *testing.T) {
	parallel(t)
	s := newDesktop(t).startTray()
	menu := s.item.menu()
	quit, about := menu.find("Quit").id, menu.find("About porttray").id
	before := s.tray.peak(t)
	var got []itemProperties
	ids := append(slices.Repeat([]int32{quit}, 150_000), about, quit)
	s.item.call([]any{&got}, s.item.menuPath(), menuName+".GetGroupProperties", ids, []string{})
	if len(got) != 2 || got[0].ID != quit || got[1].ID != about {
		t.Errorf("there are %d answers, which begin with %v", len(got), got[:min(3, len(got))])
	}
	after := s.tray.peak(t)
	t.Logf("at most %.1f MB before, %.1f MB after", float64(before)/1e6, float64(after)/1e6)
	if after > before+40e6 { // the question itself is 0.6 MB, which godbus has several times
		t.Error("the answer costs too much")
	}
}

// Who asks for the properties of no item gets those of all.
func TestPanelAsksForAllItems(t *testing.T) {
	parallel(t)
	s := newDesktop(t).startTray()
	s.item.settle()
	want := []int32{0}
	s.item.allNodes().each(func(n *node) { want = append(want, n.id) })
	slices.Sort(want)
	var got []itemProperties
	s.item.call([]any{&got}, s.item.menuPath(), menuName+".GetGroupProperties", []int32{}, []string{})
	var ids []int32
	for _, i := range got {
		ids = append(ids, i.ID)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("there are properties of %v, want %v", ids, want)
	}
}

// each calls do with all that is below n.
func (n *node) each(do func(*node)) {
	for _, c := range n.children {
		do(c)
		c.each(do)
	}
}
