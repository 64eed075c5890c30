package watcher

import (
	"maps"
	"runtime"
	"testing"
	"time"

	"porttray/watcher/owner"
)

// TestHandles has an owner end, which only Windows tells about afterwards.
func TestHandles(t *testing.T) {
	h := handles{}
	defer h.close()
	cmd := roleCommand("listen", "127.0.0.1:0")
	start(t, cmd)
	p, err := owner.Identify(int32(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 3 {
		now = now.Add(time.Second)
		if ended := h.keep(map[int32]owner.Process{0: {}, p.PID: p}, now); len(ended) > 0 || len(h) != 1 {
			t.Errorf("while it runs: %v ended, %v are held", ended, h)
		}
	}
	kill(cmd)
	want := map[owner.ID]owner.Exit{}
	if runtime.GOOS == "windows" {
		want[p.ID()] = owner.Exit{How: owner.Exited, Status: 1} // as package os ends it
	}
	if ended := h.keep(nil, now.Add(time.Second)); !maps.Equal(ended, want) || len(h) > 0 {
		t.Errorf("after its end: %v ended, want %v; %v are held", ended, want, h)
	}
}
