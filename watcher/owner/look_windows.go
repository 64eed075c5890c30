package owner

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ReadVitals is described in look_linux.go. It reads all facts through one handle, so they belong to one process. start
// is exact to 100 ns. An ended process still exists while somebody holds a handle to it.
func ReadVitals(pid int32) (Vitals, error) {
	const access = windows.PROCESS_QUERY_LIMITED_INFORMATION | windows.SYNCHRONIZE
	h, err := windows.OpenProcess(access, false, uint32(pid))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return Vitals{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return Vitals{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return Vitals{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	event, err := windows.WaitForSingleObject(h, 0)
	if err != nil {
		return Vitals{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	if event == windows.WAIT_OBJECT_0 {
		return Vitals{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	var basic windows.PROCESS_BASIC_INFORMATION
	err = windows.NtQueryInformationProcess(h, windows.ProcessBasicInformation, unsafe.Pointer(&basic),
		uint32(unsafe.Sizeof(basic)), nil)
	if err != nil {
		basic.InheritedFromUniqueProcessId = 0 // as for a process without a parent
	}
	start := uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime)
	return Vitals{Start: start, Parent: int32(basic.InheritedFromUniqueProcessId)}, nil
}

// waitForNextTick is described in look_linux.go.
func waitForNextTick(uint64) bool { return false }
