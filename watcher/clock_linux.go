package watcher

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns how long the computer has run, sleep included, by a clock that nobody sets; where there is none, it is the time of
// day.
func sinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(now.Nano())
}

// bootTime returns when the computer was started, by the clock as it is set now; false if that could not be told closely.
func bootTime() (time.Time, bool) {
	before := sinceBoot()
	now := time.Now().Round(0)
	after := sinceBoot()
	return now.Add(-after), after-before < 100*time.Millisecond
}
