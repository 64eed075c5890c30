package tray

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"porttray/watcher/server"
)

func TestArrange(t *testing.T) {
	id := func(port uint16) server.ID { return server.ID{Port: port} }
	lately := noon.Add(-time.Minute)
	slots := func(size int, live map[int]uint16, used ...int) []slotState {
		s := make([]slotState, size)
		for i, port := range live {
			s[i] = slotState{id: id(port), live: true}
		}
		for _, i := range used {
			s[i].since = noon
		}
		return s
	}
	for _, c := range []struct {
		name  string
		slots []slotState
		want  []uint16
		at    []int
	}{
		{"nothing", slots(4, nil), nil, []int{}},
		{"the first goes to the middle", slots(9, nil), []uint16{80}, []int{4}},
		{"several are spread", slots(9, nil), []uint16{1, 2, 3}, []int{1, 4, 7}},
		{"all keep their place", slots(4, map[int]uint16{0: 1, 3: 9}), []uint16{1, 9}, []int{0, 3}},
		{"a new one goes between", slots(5, map[int]uint16{0: 1, 4: 9}), []uint16{1, 5, 9}, []int{0, 2, 4}},
		{"not where one was lately", slots(5, map[int]uint16{0: 1, 4: 9}, 2), []uint16{1, 5, 9}, []int{0, 1, 4}},
		{"unless all were used lately", slots(5, map[int]uint16{0: 1, 4: 9}, 1, 2, 3), []uint16{1, 5, 9},
			[]int{0, 2, 4}},
		{"before the first", slots(5, map[int]uint16{2: 5}), []uint16{1, 5}, []int{1, 2}},
		{"after the last", slots(5, map[int]uint16{2: 5}), []uint16{5, 9}, []int{2, 4}},
		{"no room between: all move", slots(6, map[int]uint16{2: 1, 3: 9}), []uint16{1, 5, 9}, []int{1, 3, 5}},
		{"full", slots(3, map[int]uint16{0: 1, 1: 2}), []uint16{1, 2, 3}, []int{0, 1, 2}},
	} {
		want := make([]server.ID, len(c.want))
		for i, port := range c.want {
			want[i] = id(port)
		}
		if got := arrange(c.slots, want, lately); !slices.Equal(got, c.at) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.at)
		}
	}
}

func TestArrangeKeepsTheOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	slots := make([]slotState, slotCount)
	moved, came := 0, 0
	for range 2000 {
		var want []server.ID
		for port := range uint16(60) {
			id := server.ID{Port: port}
			live := slices.ContainsFunc(slots, func(p slotState) bool { return p.live && p.id == id })
			if keep := rng.IntN(10) > 0; len(want) < directRows && (live && keep || !live && rng.IntN(40) == 0) {
				want = append(want, id)
			}
		}
		got := arrange(slots, want, noon)
		if len(got) != len(want) || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("%d rows got the places %v", len(want), got)
		}
		next := make([]slotState, slotCount)
		for i, at := range got {
			next[at] = slotState{id: want[i], live: true}
			switch old := slices.IndexFunc(slots, func(p slotState) bool { return p.live && p.id == want[i] }); {
			case old < 0:
				came++
			case old != at:
				moved++
			}
		}
		slots = next
	}
	if moved > came/5 {
		t.Errorf("%d rows moved for %d new rows", moved, came)
	}
}
