package settings

import (
	"testing"

	"porttray/watcher"
	"porttray/watcher/server"
)

// TestApplied names the listeners, the servers, and the servers of events (Before too). It moves them to the rules'
// sections.
func TestApplied(t *testing.T) {
	shop, other := server.Alone(server.Listener{Port: 3000}), server.Alone(server.Listener{Port: 4000})
	other.Also = []server.Listener{shop.Listener}
	s := Settings{Rules: []Rule{{Port: Ports{3000, 3000}, Label: "Shop", Show: ShowOther}}}
	u := watcher.Update{
		Snapshot: watcher.Snapshot{
			Listeners: []server.Listener{shop.Listener, other.Listener},
			Servers:   []server.Server{shop, other},
		},
		Events: []watcher.Event{
			{Kind: watcher.Replaced, Server: shop, Before: shop},
			{Kind: watcher.Opened, Server: shop},
		},
	}
	got := s.Applied(u)
	if l := got.Snapshot.Listeners; l[0].Label != "Shop" || l[1].Label != "" {
		t.Errorf("the listeners are named %q and %q", l[0].Label, l[1].Label)
	}
	if l := got.Snapshot.Servers; l[0].Title != "Shop" || l[0].Section != server.Other ||
		l[1].Label != "" || l[1].Section != server.Main || l[1].Also[0].Label != "Shop" {
		t.Errorf("the servers are %+v", l)
	}
	if e := got.Events[0]; e.Title != "Shop" || e.Before.Title != "Shop" || e.Section != server.Other {
		t.Errorf("the event is of %q after %q, in %v", e.Title, e.Before.Title, e.Section)
	}
	if e := got.Events[1]; e.Before.Label != "" {
		t.Errorf("before something opened there was %q", e.Before.Label)
	}
	if u.Snapshot.Listeners[0].Label != "" || u.Snapshot.Servers[0].Label != "" ||
		u.Snapshot.Servers[1].Also[0].Label != "" || u.Events[0].Before.Label != "" {
		t.Error("what was given has changed")
	}
}
