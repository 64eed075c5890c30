//go:build linux

package tray_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// These tests have panels send short requests with long answers, more than a program can afford.

// peak returns the peak memory of a process in bytes.
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

// A request with the same item many times gets it once.
func TestPanelAsksForOneItemManyTimes(t *testing.T) {
	parallel(t)
	s := newDesktop(t).startTray()
	menu := s.item.menu()
	quit, about := menu.find("Quit").id, menu.find("Settings", "About porttray").id
	before := s.tray.peak(t)
	ids := append(slices.Repeat([]int32{quit}, 150_000), about, quit)
	var got []itemProperties
	s.item.call([]any{&got}, s.item.menuPath(), menuName+".GetGroupProperties", ids, []string{})
	if len(got) != 2 || got[0].ID != quit || got[1].ID != about {
		t.Errorf("there are %d answers, which begin with %v", len(got), got[:min(3, len(got))])
	}
	after := s.tray.peak(t)
	t.Logf("at most %.1f MB before, %.1f MB after", float64(before)/1e6, float64(after)/1e6)
	if after > before+40e6 { // the request itself is 0.6 MB, and godbus keeps several copies
		t.Error("the answer costs too much")
	}
}

// A request for the properties of no item gets those of all items.
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

// each calls do with every node below n.
func (n *node) each(do func(*node)) {
	for _, c := range n.children {
		do(c)
		c.each(do)
	}
}

// A panel that sends many requests and does not wait gets some answers; the tray may refuse others. Its requests take
// no memory, and other panels still get answers.
func TestPanelDoesNotWaitForAnswers(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	d.startVictim(victimOptions{apart: true}, slices.Repeat([]string{"127.0.0.1:0"}, 20)...)
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	s := d.startTray()
	s.redrawn("21 servers")
	const times = 1000
	before := s.tray.peak(t)
	for method, q := range map[string]question{
		"GetLayout": {path: s.item.menuPath(), method: menuName + ".GetLayout",
			args: []any{int32(0), int32(-1), []string{}}},
		"GetGroupProperties": {path: s.item.menuPath(), method: menuName + ".GetGroupProperties",
			args: []any{[]int32{}, []string{}}},
		"GetAll": {path: s.item.path, method: "org.freedesktop.DBus.Properties.GetAll", args: []any{itemName}},
		"Get": {path: s.item.path, method: "org.freedesktop.DBus.Properties.Get",
			args: []any{itemName, "IconPixmap"}},
	} {
		conn := d.connect(func(*dbus.Signal) {})
		greedy := conn.Object(s.item.sender, q.path)
		done := make(chan *dbus.Call, times)
		s.tray.halt(t) // so that they come all at once
		for range times {
			greedy.Go(q.method, 0, done, q.args...)
		}
		// The bus has passed on all of it.
		if _, err := call(conn.BusObject(), "org.freedesktop.DBus.GetId"); err != nil {
			t.Fatal(err)
		}
		s.tray.signal(syscall.SIGCONT)
		if rows := s.item.menu().rows(); len(rows) != 21 { // while the others wait
			t.Errorf("%s: another panel gets %d rows", method, len(rows))
		}
		late, answers, refusals := len(done), 0, 0
		for range times {
			c := <-done
			if refusal, ok := errors.AsType[dbus.Error](c.Err); ok &&
				refusal.Name == "org.freedesktop.DBus.Error.LimitsExceeded" {
				refusals++
			} else if c.Err == nil {
				answers++
			} else {
				t.Fatalf("%s: %v", method, c.Err)
			}
		}
		after := s.tray.peak(t)
		t.Logf("%s: %d calls were answered, and %d refused; when another panel had its answer, %d had theirs; at "+
			"most %.1f MB before, %.1f MB after",
			method, answers, refusals, late, float64(before)/1e6, float64(after)/1e6)
		if answers == 0 { // without refusals, if the tray answers as fast as it reads
			t.Errorf("%s: no call was answered", method)
		}
		if after > before+22e6 { // the waiting answers alone would be 20 MB
			t.Errorf("%s: the calls cost too much", method)
		}
	}
	s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
	s.noRow(v.ports[0])
}
