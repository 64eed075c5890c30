package watcher

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"porttray/watcher/server"
)

// TestFastClock sets the clock forward and back by a day. Only the start times of the owners may change.
func TestFastClock(t *testing.T) {
	if !(world{}).enter(t) {
		return
	}
	p := newStage(t).enter()
	port := p.listen("a", "127.0.0.1:0")
	s := newFast(t)
	var set atomic.Int64 // offset of the clock
	s.boot = func() (time.Time, bool) {
		boot, ok := bootTime()
		return boot.Add(time.Duration(set.Load())), ok
	}
	w := &Watcher{Interval: 20 * time.Millisecond, Scan: s.scan}
	w.naming = systemNaming()
	l := keepLog(t, w, port)
	began := server.OnPort(l.last.Snapshot.Listeners, port)[0].Owner.Since
	if age := time.Since(began); age < -time.Second || age > time.Minute {
		t.Fatalf("it started %v ago", age)
	}
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour, time.Second, 0} {
		set.Store(int64(by))
		want := began.Add(by.Truncate(time.Minute)) // a step of less than two seconds is ignored
		l.until("the clock is set", true, func() bool {
			now := server.OnPort(l.last.Snapshot.Listeners, port)
			return len(now) == 1 && now[0].Owner.Since.Sub(want).Abs() <= 2*time.Second && now[0].Facts.Command != ""
		})
		if l.last.Slept || l.last.Err != nil {
			t.Errorf("slept: %v, %v", l.last.Slept, l.last.Err)
		}
	}
	if len(l.events) > 0 {
		t.Errorf("got the events %v, want none", l.events)
	}
}

// TestFaultTimeNamespace runs in a time namespace: the clocks that count from the boot are forty days ahead.
func TestFaultTimeNamespace(t *testing.T) {
	if !(world{Shift: 1000 * time.Hour}).enter(t) {
		return
	}
	before := time.Now()
	p := newStage(t).enter()
	port := p.listen("a", "127.0.0.1:0")
	l := keepLog(t, &Watcher{}, port)
	got := server.OnPort(l.last.Snapshot.Listeners, port)
	if len(got) != 1 || got[0].Owner.Since.Before(before.Add(-3*time.Second)) ||
		got[0].Owner.Since.After(time.Now().Add(3*time.Second)) {
		t.Errorf("found %+v, want it to have started about %v", got, before)
	}
	if _, err := os.Stat("/proc/self/timens_offsets"); err != nil || sinceBoot() < 1000*time.Hour {
		t.Errorf("the time namespace has no offset: up for %v, %v", sinceBoot(), err)
	}
	p.kill()
	l.watched = nil
	l.until("it is closed", true, func() bool { return l.events[Closed] == 1 })
	l.settles()
	if l.last.Slept {
		t.Error("Slept is set")
	}
}
