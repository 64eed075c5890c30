package trusted

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestGuard lets calls hang until the guard has no slot left, and then lets them return.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room, limit = 3, time.Second
		g, release := NewGuard(room), make(chan struct{})
		call := func() (bool, time.Duration) {
			begun := time.Now()
			_, ok := Guarded(t.Context(), g, limit, func(context.Context) int { <-release; return 1 })
			return ok, time.Since(begun)
		}
		for range room {
			if ok, took := call(); ok || took != limit {
				t.Errorf("a call that hangs: %v after %v, want false after %v", ok, took, limit)
			}
		}
		if ok, took := call(); ok || took != 0 || g.hung.Load() != room {
			t.Errorf("one more: %v after %v with %d hanging", ok, took, g.hung.Load())
		}
		close(release)
		synctest.Wait()
		if g.hung.Load() != 0 || len(g.slots) != 0 {
			t.Errorf("%d calls hang and %d slots are taken after all returned", g.hung.Load(), len(g.slots))
		}
		if ok, _ := call(); !ok {
			t.Error("a call that returns is not served")
		}
	})
}
