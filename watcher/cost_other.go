//go:build !linux

package watcher

import "time"

// threadTime is described in cost_linux.go.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
