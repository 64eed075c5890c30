package watcher

import (
	"maps"
	"testing"
	"time"

	"porttray/watcher/owner"
)

// ended returns exits of processes with these PIDs. The status of each is its PID.
func ended(pids ...int32) map[owner.ID]owner.Exit {
	all := map[owner.ID]owner.Exit{}
	for _, pid := range pids {
		all[owner.ID{PID: pid, Start: 1}] = owner.Exit{How: owner.Exited, Status: int(pid)}
	}
	return all
}

func TestExits(t *testing.T) {
	type step struct {
		at   time.Duration
		add  []int32
		want []int32
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"nothing", []step{{0, nil, nil}, {time.Hour, nil, nil}}},
		{"a minute", []step{{0, []int32{1}, []int32{1}}, {59 * time.Second, nil, []int32{1}}, {time.Minute, nil, nil}}},
		{"one after the other", []step{{0, []int32{1}, []int32{1}}, {40 * time.Second, []int32{2, 3}, []int32{1, 2, 3}},
			{70 * time.Second, nil, []int32{2, 3}}, {80 * time.Second, []int32{4}, []int32{2, 3, 4}},
			{100 * time.Second, nil, []int32{4}}}},
		{"the same one again",
			[]step{{0, []int32{1}, []int32{1}}, {40 * time.Second, []int32{1}, []int32{1}}, {time.Minute, nil, nil}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var e exits
			start := time.Now()
			for _, s := range tt.steps {
				before := e.known
				copied := maps.Clone(before)
				e.add(ended(s.add...), start.Add(s.at))
				if !maps.Equal(e.known, ended(s.want...)) || (e.known == nil) != (len(s.want) == 0) {
					t.Errorf("after %v: %v, want %v", s.at, e.known, s.want)
				}
				if !maps.Equal(before, copied) {
					t.Errorf("after %v: %v has become %v", s.at, copied, before)
				}
			}
		})
	}
}

func TestExitsBound(t *testing.T) {
	var e exits
	now := time.Now()
	for pid := range int32(3 * maxExits) {
		e.add(ended(pid), now)
	}
	last := owner.ID{PID: 3*maxExits - 1, Start: 1}
	if len(e.known) != maxExits || len(e.noted) != maxExits || e.known[last].How != owner.Exited {
		t.Errorf("%d and %d are remembered, want %d with the last among them", len(e.known), len(e.noted), maxExits)
	}
	if allocs := testing.AllocsPerRun(10, func() { e.add(nil, now) }); allocs > 0 {
		t.Errorf("adding nothing takes %v allocations", allocs)
	}
}
