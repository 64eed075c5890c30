package watcher

import (
	"context"
	"slices"
	"testing"

	"porttray/watcher/server"
)

// TestWitnessOfAnother has a process called porttray listen on loopback, as another porttray does briefly. Scans must
// hide these listeners. They must show its other listeners, and those of other processes.
func TestWitnessOfAnother(t *testing.T) {
	s := newStage(t)
	p, other := s.enter(), s.enter()
	witnesses := []uint16{p.listen("a", "127.0.0.1:0"), p.listen("b", "[::1]:0")}
	shown := []uint16{p.listen("c", "0.0.0.0:0"), other.listen("a", "127.0.0.1:0")}
	p.become("porttray")
	scans := map[string]func(context.Context) (Snapshot, error){"fast": Scan}
	for name, scanner := range scanners() {
		scans[name] = scanner().scan
	}
	for name, scan := range scans {
		now, err := scan(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		has := func(port uint16) bool { return len(server.OnPort(now.Listeners, port)) > 0 }
		if slices.ContainsFunc(witnesses, has) {
			t.Errorf("%s: a witness is shown", name)
		}
		for _, port := range shown {
			if !has(port) {
				t.Errorf("%s: port %d is not shown", name, port)
			}
		}
	}
}
