package watcher

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestTry has scans that fail or hang.
func TestTry(t *testing.T) {
	broken, detour := errors.New("out of order"), errors.New("no way")
	tests := []struct {
		name         string
		fails, hangs int // number of the scan; 0 for none
		first, again time.Duration
		listeners    int
		scans        int
		want         error
	}{
		{name: "well", first: 8 * time.Second, again: time.Second, listeners: 1, scans: 2},
		{name: "the first fails", fails: 1, scans: 1, first: 8 * time.Second, want: broken},
		{name: "the second fails", fails: 2, scans: 2, first: 8 * time.Second, again: time.Second, want: broken},
		{name: "the first hangs", hangs: 1, scans: 1, first: 5*time.Second + scanLimit, want: errSlow},
		{name: "the second hangs", hangs: 2, scans: 2, first: 8 * time.Second, again: scanLimit, want: errSlow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scans := 0
				src := source{detour: detour, scan: func(ctx context.Context) (Snapshot, error) {
					scans++
					if scans == tt.hangs {
						<-ctx.Done()
						return Snapshot{}, ctx.Err()
					}
					time.Sleep([]time.Duration{3 * time.Second, time.Second}[scans-1])
					if scans == tt.fails {
						return Snapshot{}, broken
					}
					return Snapshot{Source: "test", Listeners: parse(t, "80/7")}, nil
				}}
				got, err := try(t.Context(), src, 5*time.Second)
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || got.Detour != detour {
					t.Errorf("%v, detour %v; want %v, %v", err, got.Detour, tt.want, detour)
				}
				if got.First != tt.first || got.Again != tt.again || len(got.Snapshot.Listeners) != tt.listeners {
					t.Errorf("%d listeners after %v and %v; want %d, %v, %v", len(got.Snapshot.Listeners), got.First,
						got.Again, tt.listeners, tt.first, tt.again)
				}
				if scans != tt.scans {
					t.Errorf("%d scans, want %d", scans, tt.scans)
				}
			})
		})
	}
}
