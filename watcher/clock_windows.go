package watcher

import (
	"time"

	"golang.org/x/sys/windows"
)

// sinceBoot is described in clock_linux.go.
func sinceBoot() time.Duration { return windows.DurationSinceBoot() }
