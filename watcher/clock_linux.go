package watcher

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns how long the computer has run, sleep included. Without such a clock it is the time of day.
func sinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(now.Nano())
}

// bootTime returns the boot time by the clock as it is set now, or false if reading the clocks took too long.
func bootTime() (time.Time, bool) {
	before := sinceBoot()
	now := time.Now().Round(0)
	after := sinceBoot()
	return now.Add(-after), after-before < 100*time.Millisecond
}
