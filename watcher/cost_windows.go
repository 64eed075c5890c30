package watcher

import (
	"time"

	"golang.org/x/sys/windows"
)

// threadTime is described in cost_linux.go. Windows is asked for the whole program's.
func threadTime() time.Duration {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user); err != nil {
		return 0
	}
	count := func(t windows.Filetime) time.Duration { // in units of 100 ns
		return 100 * time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime))
	}
	return count(kernel) + count(user)
}
