package doctor

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"
)

func TestFindingJSON(t *testing.T) {
	for _, tt := range []struct {
		finding Finding
		want    string
	}{
		{Finding{Topic: "system", Says: "Debian"}, `{"topic":"system","state":"works","says":"Debian","fatal":false}`},
		{Finding{Topic: "owners", State: Lacks, Says: "hidden", Fix: "look"},
			`{"topic":"owners","state":"lacks","says":"hidden","fix":"look","fatal":false}`},
		{Finding{"session", Broken, "none", "log in", true},
			`{"topic":"session","state":"broken","says":"none","fix":"log in","fatal":true}`},
	} {
		if got, err := json.Marshal(tt.finding); err != nil || string(got) != tt.want {
			t.Errorf("%+v: %s, %v, want %s", tt.finding, got, err, tt.want)
		}
	}
}

func TestWithin(t *testing.T) {
	tests := []struct {
		name   string
		takes  time.Duration // of a check that ends with its context; negative for one that hangs
		cancel time.Duration // when the caller gives up; 0 for never
		ok     bool
		after  time.Duration
	}{
		{name: "at once", ok: true},
		{name: "in time", takes: 2 * time.Second, ok: true, after: 2 * time.Second},
		{name: "late", takes: 4 * time.Second, after: 3 * time.Second},
		{name: "hangs", takes: -1, after: 3 * time.Second},
		{name: "given up", takes: 2 * time.Second, cancel: time.Second, after: time.Second},
		{name: "hangs and is given up", takes: -1, cancel: time.Second, after: time.Second},
		{name: "given up later", takes: time.Second, cancel: 2 * time.Second, ok: true, after: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, cancel)
				}
				released := make(chan struct{})
				defer close(released)
				start := time.Now()
				got, ok := Within(ctx, 3*time.Second, func(ctx context.Context) string {
					if tt.takes < 0 {
						<-released
						return "much too late"
					}
					select {
					case <-time.After(tt.takes):
						return "found"
					case <-ctx.Done():
						return "broken off"
					}
				})
				if took := time.Since(start); ok != tt.ok || ok && got != "found" || took != tt.after {
					t.Errorf("%q, %v after %v; want %v after %v", got, ok, took, tt.ok, tt.after)
				}
			})
		})
	}
}

func TestUnfinished(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	late := Unfinished(ctx, "listeners", 2*time.Second)
	if want := "no answer within 2s"; late.State != Broken || late.Says != want || late.Topic != "listeners" {
		t.Errorf("%+v, want %q", late, want)
	}
	cancel()
	broken := Unfinished(ctx, "listeners", 2*time.Second)
	if want := "the check was interrupted"; broken.State != Lacks || broken.Says != want {
		t.Errorf("%+v, want %q", broken, want)
	}
	wellFormed(t, []Finding{late, broken})
}
