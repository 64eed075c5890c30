//go:build !linux && !windows

package watcher

import "time"

// sinceBoot is described in clock_linux.go.
func sinceBoot() time.Duration { return time.Duration(time.Now().UnixNano()) }
