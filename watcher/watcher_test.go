package watcher

import (
	"slices"
	"testing"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

func TestListener(t *testing.T) {
	tests := []struct {
		listener          string
		exposed, wildcard bool
	}{
		{"80/7@127.0.0.1", false, false},
		{"80/7@127.8.9.10,::1", false, false},
		{"80/7@0.0.0.0", true, true},
		{"80/7@127.0.0.1,::", true, true},
		{"80/7@127.0.0.1,192.0.2.1", true, false},
	}
	for _, tt := range tests {
		l := parse(t, tt.listener)[0]
		if got := l.Exposed(); got != tt.exposed {
			t.Errorf("%s: Exposed() = %v", tt.listener, got)
		}
		if got := l.Wildcard(); got != tt.wildcard {
			t.Errorf("%s: Wildcard() = %v", tt.listener, got)
		}
	}
}

func TestListenerEqual(t *testing.T) {
	l := parse(t, "80/7")[0]
	renamed := l
	renamed.Owner.Name = "other"
	for _, m := range append(parse(t, "80/7@::1 80/7@127.0.0.1,::1 80/7.2 80/8 81/7"), renamed) {
		if l.Equal(m) || m.Equal(l) {
			t.Errorf("%+v and %+v are equal", l, m)
		}
	}
	if !l.Equal(parse(t, "80/7")[0]) {
		t.Errorf("%+v does not equal itself", l)
	}
}

func TestSnapshot(t *testing.T) {
	s := Snapshot{Listeners: parse(t, "80/7 90/0 90/8@::1 90/8.2@::2 100/7")}
	if got := s.Ports(); got != 3 {
		t.Errorf("Ports() = %d, want 3", got)
	}
	for _, l := range s.Listeners {
		if got, ok := s.Find(l.ID()); !ok || !got.Equal(l) {
			t.Errorf("Find(%v) = %v, %v, want %v", l.ID(), got, ok, l)
		}
	}
	for _, id := range []server.ID{
		{Port: 80, PID: 8, Start: 1}, {Port: 80, PID: 7, Start: 2}, {Port: 85, PID: 7, Start: 1}, {}, {Port: 65535, PID: 7, Start: 1},
	} {
		if got, ok := s.Find(id); ok {
			t.Errorf("Find(%v) = %v, want none", id, got)
		}
	}
	holders := map[uint16][]owner.Process{
		79: nil, 80: {{PID: 7, Start: 1}}, 90: {{}, {PID: 8, Start: 1}, {PID: 8, Start: 2}}, 100: {{PID: 7, Start: 1}},
		101: nil,
	}
	for port, want := range holders {
		if got := s.Holders(port); !slices.Equal(got, want) {
			t.Errorf("Holders(%d) = %v, want %v", port, got, want)
		}
	}
	empty := Snapshot{}
	if empty.Ports() != 0 || empty.Holders(80) != nil {
		t.Errorf("the empty snapshot has %d ports and the holders %v", empty.Ports(), empty.Holders(80))
	}
}
