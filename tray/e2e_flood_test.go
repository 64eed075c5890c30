//go:build linux

package tray_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// clickAll clicks the entries by turns, as fast as the bus allows. It returns when the item has all the clicks.
func (i *item) clickAll(times int, ids ...int32) {
	i.h.d.t.Helper()
	menu := i.h.conn.Object(i.sender, i.menuPath())
	for n := range times {
		menu.Go(menuName+".Event", dbus.FlagNoReplyExpected, nil, ids[n%len(ids)], "clicked",
			dbus.MakeVariant(int32(0)), uint32(n))
		if n%500 == 0 { // do not let all of them wait on the bus
			i.menuPath()
		}
	}
	i.menuPath()
}

// Ten thousand clicks on everything open few windows, give few notifications, and hit no other server.
func TestFloodOfClicks(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	// The shim records the number of browsers that start at the same time.
	d.shim("xdg-open", fmt.Sprintf(`cd '%s' && printf '%%s\n' "$1" >>urls && mkdir "open-$$" &&
ls -d open-* | wc -l >>peak; rmdir "open-$$"`, d.dir))
	gone, deaf := d.startVictim(victimOptions{name: "gone"}, "127.0.0.1:0"),
		d.startVictim(victimOptions{name: "deaf", ignoreTerm: true}, "127.0.0.1:0")
	var others []*victim
	for range 10 {
		others = append(others, d.startVictim(victimOptions{}, "127.0.0.1:0"))
	}
	s := d.startTray()
	stale := s.row(gone, gone.ports[0])
	gone.signal(os.Kill)
	s.noRow(gone.ports[0])
	s.hear(fmt.Sprintf("gone (:%d) crashed", gone.ports[0]), "killed by SIGKILL")

	ids := []int32{0, -1, math.MaxInt32, math.MinInt32, s.item.menu().find("Settings", "About porttray").id}
	for _, label := range []string{"Stop gone", "Kill gone", "Open in browser", "Copy address"} {
		ids = append(ids, stale.find(label).id)
	}
	ids = append(ids, s.row(deaf, deaf.ports[0]).find("Stop deaf").id)
	for _, v := range others {
		row := s.row(v, v.ports[0])
		ids = append(ids, row.find("Open in browser").id, row.find("Copy address").id)
	}
	before := s.tray.load(t)
	heard, begin := len(s.notes.all()), time.Now()
	s.item.clickAll(10_000, ids...)
	s.item.clickAll(10_000, s.row(others[0], others[0].ports[0]).find("Open in browser").id)

	v := d.startVictim(victimOptions{name: "after"}, "127.0.0.1:0")
	s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
	s.noRow(v.ports[0])
	took := time.Since(begin)
	s.hear(fmt.Sprintf("Port %d is free", v.ports[0]), v.who()+" stopped")
	for _, v := range append(others, deaf) {
		if v.exited() {
			t.Errorf("%s was ended", v.who())
		}
	}
	peak, _ := os.ReadFile(d.path("peak")) // missing if nothing was opened; the next lines report that
	most := 0
	for _, line := range strings.Fields(string(peak)) {
		n, _ := strconv.Atoi(line)
		most = max(most, n)
	}
	opened := map[string]int{}
	for _, url := range s.urls() {
		opened[url]++
	}
	t.Logf("%d browsers were opened, %d at a time, and %d notifications given, within %v",
		len(s.urls()), most, len(s.notes.all())-heard, took)
	if most == 0 || most > 8 {
		t.Errorf("%d browsers were opened at the same time, want 1 to 8", most)
	}
	// Each entry accepts ten clicks at once and then five a second. The same limit holds for notices of no action.
	heeded := 10 + 1 + int(took/(200*time.Millisecond))
	for url, n := range opened {
		if n > heeded {
			t.Errorf("%s was opened %d times, want %d at most", url, n, heeded)
		}
	}
	if told := len(s.notes.all()) - heard; told > (len(ids)+1)*heeded {
		t.Errorf("%d notifications were given", told)
	}
	after := s.tray.loadWithin(t, before.files+10)
	t.Logf("before %v, after %v", before, after)
	if after.memory > before.memory+100e6 || after.tasks > before.tasks+15 {
		t.Error("the flood has left too much")
	}
	var servers []string
	for _, v := range others {
		servers = append(servers, fmt.Sprintf("http://localhost:%d", v.ports[0]))
	}
	for _, url := range s.urls() {
		if !slices.Contains(servers, url) {
			t.Errorf("the browser got %q", url)
		}
	}
	s.tray.signal(syscall.SIGTERM)
	s.mustEnd()
}
