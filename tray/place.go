package tray

import (
	"time"

	"porttray/watcher/server"
)

// A slotState is the state of one slot.
type slotState struct {
	id    server.ID
	live  bool      // the slot shows the row of id
	since time.Time // when its last row was removed; zero if it never showed one
}

// arrange chooses a slot for each wanted row, in order. There must be at least as many slots as rows. Rows with a slot
// must be wanted in the order of their slots.
//
// The menu can only be appended to, so its rows live in a longer line of slots, most of them hidden. A row keeps its
// slot as long as possible, so nothing moves under the pointer and unchanged labels stay. A new row goes between its
// neighbours, preferably into a slot that showed no row lately. If no slot is free between them, the rows around move
// apart, as few as possible.
func arrange(slots []slotState, want []server.ID, lately time.Time) []int {
	at := make(map[server.ID]int, len(want))
	for i, s := range slots {
		if s.live {
			at[s.id] = i
		}
	}
	result := make([]int, len(want))
	for i, id := range want {
		slot, ok := at[id]
		if !ok {
			slot = -1
		}
		result[i] = slot
	}
	for i := range result {
		if result[i] < 0 {
			fillRun(result, i, slots, lately)
		}
	}
	return result
}

// fillRun chooses slots for a run of rows without slots that starts at first.
func fillRun(at []int, first int, slots []slotState, lately time.Time) {
	end := first
	low, high := 0, 0 // the free slots between the rows around
	measure := func() {
		for end < len(at) && at[end] < 0 {
			end++
		}
		low, high = 0, len(slots)
		if first > 0 {
			low = at[first-1] + 1
		}
		if end < len(at) {
			high = at[end]
		}
	}
	measure()
	if end-first == 1 && low < high {
		at[first] = nearest(slots, low, high, lately)
		return
	}
	if high-low < end-first {
		for high-low < 2*(end-first) && (first > 0 || end < len(at)) {
			first, end = max(first-1, 0), min(end+1, len(at))
			measure()
		}
	}
	for i, offset := range spread(end-first, high-low) {
		at[first+i] = low + offset
	}
}

// spread returns n different indices below size, evenly spaced.
func spread(n, size int) []int {
	result := make([]int, n)
	for i := range result {
		result[i] = (2*i + 1) * size / (2 * n)
	}
	return result
}

// nearest returns the slot nearest to the middle of low ≤ i < high that showed no row lately. If all did, it returns
// the middle.
func nearest(slots []slotState, low, high int, lately time.Time) int {
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
