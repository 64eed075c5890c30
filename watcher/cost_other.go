//go:build !linux && !windows

package watcher

import (
	"errors"
	"syscall"
	"time"
)

// threadTime is described in cost_linux.go. Here it covers the whole program and programs it has run.
func threadTime() time.Duration {
	var self, children syscall.Rusage
	err := errors.Join(syscall.Getrusage(syscall.RUSAGE_SELF, &self),
		syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children))
	if err != nil {
		return 0
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano() + children.Utime.Nano() + children.Stime.Nano())
}
