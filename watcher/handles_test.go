package watcher

import (
	"maps"
	"runtime"
	"testing"
	"time"

	"porttray/watcher/owner"
)

// TestHandles ends an owner. Only Windows can report the exit status afterwards.
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
			t.Errorf("while it runs: exits %v, handles %v", ended, h)
		}
	}
	kill(cmd)
	want := map[owner.ID]owner.Exit{}
	if runtime.GOOS == "windows" {
		want[p.ID()] = owner.Exit{How: owner.Exited, Status: 1} // the status that os.Process.Kill sets
	}
	if ended := h.keep(nil, now.Add(time.Second)); !maps.Equal(ended, want) || len(h) > 0 {
		t.Errorf("after its end: exits %v, want %v; handles %v", ended, want, h)
	}
}
