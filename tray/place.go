package tray

import (
	"time"

	"porttray/watcher"
)

// A place is what is known of one slot when rows are placed.
type place struct {
	id    watcher.ID
	live  bool      // the slot shows the row of id
	since time.Time // when it last ceased to; zero if it never showed any
}

// arrange chooses a slot for each wanted row, in order. There must be at least as many slots as rows.
//
// The menu can only be appended to, so its rows live in a longer line of slots, most of them hidden. A row keeps its slot for
// as long as it can: then nothing moves under the pointer, and nothing is relabelled that did not change. A new row goes
// between its neighbours, and preferably not where another row was shown lately. Only where no slot is free between them are
// all rows spread anew.
func arrange(slots []place, want []watcher.ID, lately time.Time) []int {
	at := make(map[watcher.ID]int, len(want))
	for i, s := range slots {
		if s.live {
			at[s.id] = i
		}
	}
	result := make([]int, 0, len(want))
	for low := -1; len(result) < len(want); low = result[len(result)-1] {
		run := 0 // new rows before the next one that has a slot
		high := len(slots)
		for _, id := range want[len(result):] {
			if i, ok := at[id]; ok {
				high = i
				break
			}
			run++
		}
		free := high - low - 1
		switch {
		case run > free, high <= low:
			return spread(len(want), len(slots))
		case run == 0:
			result = append(result, high)
		case run == 1:
			result = append(result, nearest(slots, low+1, high, lately))
		default:
			for _, i := range spread(run, free) {
				result = append(result, low+1+i)
			}
		}
	}
	return result
}

// spread returns n different indices below size, evenly apart.
func spread(n, size int) []int {
	result := make([]int, n)
	for i := range result {
		result[i] = (2*i + 1) * size / (2 * n)
	}
	return result
}

// nearest returns the slot nearest to the middle of low ≤ i < high that showed no row lately, or the middle if all did.
func nearest(slots []place, low, high int, lately time.Time) int {
	middle := (low + high) / 2
	for d := range high - low {
		for _, i := range []int{middle - d, middle + d} {
			if i >= low && i < high && slots[i].since.Before(lately) {
				return i
			}
		}
	}
	return middle
}
