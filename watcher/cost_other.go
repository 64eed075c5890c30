//go:build !linux && !windows

package watcher

import (
	"errors"
	"syscall"
	"time"
)

// threadTime is described in cost_linux.go. Elsewhere it is the whole program's, with that of programs it has run.
func threadTime() time.Duration {
	var self, children syscall.Rusage
	if err := errors.Join(syscall.Getrusage(syscall.RUSAGE_SELF, &self), syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children)); err != nil {
		return 0
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano() + children.Utime.Nano() + children.Stime.Nano())
}
