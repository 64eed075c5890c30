package terminal

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/history"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// A watch in a terminal records closed servers.
func TestWatchRemembers(t *testing.T) {
	home := t.TempDir()
	for _, v := range []string{"HOME", "USERPROFILE", "AppData"} {
		t.Setenv(v, home)
	}
	t.Setenv("XDG_STATE_HOME", filepath.Join(home, "state"))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		start := time.Now()
		db := listener(5432, owner.Process{PID: int32(os.Getpid()), Start: 1, Name: "postgres"}, "127.0.0.1")
		w := &watcher.Watcher{Scan: func(context.Context) (watcher.Snapshot, error) {
			s := watcher.Snapshot{Time: time.Now(),
				Listeners: []server.Listener{listener(22, owner.Process{}, "127.0.0.1")}}
			if time.Since(start) < 2*time.Second {
				s.Listeners = append(s.Listeners, db)
			}
			return s, nil
		}}
		if err := Watch(ctx, w, &pen{left: 100}); err != nil {
			t.Fatal(err)
		}
		seen, err := history.Read()
		if got, ok := seen.Last(5432); err != nil || !ok || got.Process != "postgres" ||
			got.Closed.Sub(start) < 2*time.Second {
			t.Errorf("got %+v, %v, %v", got, ok, err)
		}
	})
}
