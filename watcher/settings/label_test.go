package settings

import (
	"testing"

	"porttray/watcher"
)

// TestLabelled names what listens and what events are about: also what was there before.
func TestLabelled(t *testing.T) {
	shop, other := watcher.Listener{Port: 3000}, watcher.Listener{Port: 4000}
	s := Settings{Rules: []Rule{{Port: Ports{3000, 3000}, Label: "Shop"}}}
	u := watcher.Update{
		Snapshot: watcher.Snapshot{Listeners: []watcher.Listener{shop, other}},
		Events:   []watcher.Event{{Kind: watcher.Replaced, Listener: shop, Before: shop}, {Kind: watcher.Opened, Listener: shop}},
	}
	got := s.Labelled(u)
	if l := got.Snapshot.Listeners; l[0].Label != "Shop" || l[1].Label != "" {
		t.Errorf("the listeners are named %q and %q", l[0].Label, l[1].Label)
	}
	if e := got.Events[0]; e.Listener.Label != "Shop" || e.Before.Label != "Shop" {
		t.Errorf("the event is of %q after %q", e.Listener.Label, e.Before.Label)
	}
	if e := got.Events[1]; e.Before.Label != "" {
		t.Errorf("before something opened there was %q", e.Before.Label)
	}
	if u.Snapshot.Listeners[0].Label != "" || u.Events[0].Before.Label != "" {
		t.Error("what was given has changed")
	}
	if l := (Settings{}).Labelled(got).Snapshot.Listeners[0]; l.Label != "" {
		t.Errorf("without rules the name is still %q", l.Label)
	}
}
