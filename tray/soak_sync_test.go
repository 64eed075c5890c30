//go:build linux && soak

package tray_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"porttray/assets"
)

// syncPatience is how long the menu may take until it is right. A redraw takes that long on a busy machine.
const syncPatience = 3 * time.Minute

// sync waits until the menu and the icon are right.
func (s *soak) sync() {
	s.t.Helper()
	begin := time.Now()
	for !s.right() {
		if s.tray.exited() {
			s.t.Fatalf("the program has ended:\n%s", s.tray.output())
		}
		if time.Since(begin) > syncPatience {
			s.t.Fatalf("the menu or the icon is still wrong after %v: %s", time.Since(begin), s.wrongFace())
		}
		s.await()
	}
	took := time.Since(begin)
	s.slowest = max(s.slowest, took)
	s.ledger.lag += max(0, took-5*time.Second)
	s.hear()
	if err := s.ledger.review(time.Now()); err != nil {
		s.t.Fatal(err)
	}
}

// right reports whether the menu, the tooltip and the icon are right.
func (s *soak) right() bool {
	s.t.Helper()
	s.hear()
	s.read = readHoldings(s.t, s.tray.pid())
	s.want = s.expected(s.read)
	s.signalled = s.item.signals()
	menu := s.item.menu()
	s.got = s.forgive(seen(menu))
	if strings.Contains(s.got, "unknown owner") {
		s.strangers++
	}
	if s.got != s.want.text || s.wrongFace() != "" || s.expected(readHoldings(s.t, s.tray.pid())).text != s.got {
		return false
	}
	s.shown(menu)
	return true
}

// await waits until the program has redrawn the menu and then paused, for a second at most: there may be nothing left
// to draw. A poll of the menu would be too much work for the program.
func (s *soak) await() {
	const atMost, still = time.Second, 30 * time.Millisecond
	begin, last, since := time.Now(), s.signalled, time.Now()
	poll(atMost, func() bool {
		if n := s.item.signals(); n != last {
			last, since = n, time.Now()
		}
		return last != s.signalled && time.Since(since) > still || time.Since(begin) > atMost
	})
}

// wrongFace describes the first error of tooltip or icon, or returns "".
func (s *soak) wrongFace() string {
	s.t.Helper()
	if tooltip := s.item.tooltip(); tooltip != s.want.tooltip {
		return fmt.Sprintf("the tooltip is %q, want %q", tooltip, s.want.tooltip)
	}
	_, _, pix := s.item.icon()
	is := func(alarm bool) bool { return slices.Equal(pix, assets.Pixmaps(s.want.count, alarm)[0].Pixels) }
	// The program decides about an alarm some seconds after the event.
	alarming := s.lastAlarm.After(s.lastClick.Add(-15 * time.Second))
	switch {
	case is(false), alarming && is(true):
		return ""
	case is(true):
		return "the icon asks for attention without a reason"
	}
	return fmt.Sprintf("the icon is not that of %d servers", s.want.count)
}

// shown updates the test's records from a menu that is right.
func (s *soak) shown(menu *node) {
	for _, v := range slices.Concat(s.servers, s.boxes) {
		if v.known.IsZero() {
			v.known = time.Now()
		}
	}
	ended := func(e staleEntry) bool {
		return !slices.ContainsFunc(s.servers, func(v *testServer) bool { return v.pid == e.pid })
	}
	s.stale = slices.DeleteFunc(s.stale, func(e staleEntry) bool { return !ended(e) })
	s.stale = append(s.stale, slices.DeleteFunc(slices.Clone(s.leaves),
		func(e staleEntry) bool { return !ended(e) })...)
	s.stale = s.stale[max(0, len(s.stale)-20):]
	s.leaves = s.leaves[:0]
	for _, row := range allRows(menu) {
		for _, c := range row.children {
			var pid int
			if i := strings.LastIndex(c.label, "(PID "); strings.HasPrefix(c.label, "Stop ") && i > 0 {
				fmt.Sscanf(c.label[i:], "(PID %d)", &pid)
				s.leaves = append(s.leaves, staleEntry{c.id, pid, row.port()})
			}
		}
	}
}
