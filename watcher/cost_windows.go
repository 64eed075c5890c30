package watcher

import (
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getThreadTimes = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetThreadTimes")

// threadTime is described in cost_linux.go. Windows counts in steps of 15.6 ms, so only long sums are exact.
func threadTime() time.Duration {
	var created, exited, kernel, user windows.Filetime
	ok, _, _ := getThreadTimes.Call(uintptr(windows.CurrentThread()),
		uintptr(unsafe.Pointer(&created)), uintptr(unsafe.Pointer(&exited)),
		uintptr(unsafe.Pointer(&kernel)), uintptr(unsafe.Pointer(&user)))
	if ok == 0 {
		return 0
	}
	count := func(t windows.Filetime) time.Duration { // in units of 100 ns
		return 100 * time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime))
	}
	return count(kernel) + count(user)
}
