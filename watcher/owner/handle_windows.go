package owner

import "golang.org/x/sys/windows"

// A Handle holds on to a process, which can then be asked how it ended. The zero value holds on to nothing.
//
// Linux has Pins for that, which also tell when a process ends. On macOS there is nothing of the kind, and it stays unknown.
type Handle struct{ process windows.Handle }

// Grip returns a handle on a process; nothing if that has ended, or may not be asked.
func Grip(p Process) Handle {
	const access = windows.PROCESS_QUERY_LIMITED_INFORMATION | windows.SYNCHRONIZE
	process, err := windows.OpenProcess(access, false, uint32(p.PID))
	if err != nil {
		return Handle{}
	}
	if p.Gone() { // the PID may have become another process's just before
		_ = windows.CloseHandle(process)
		return Handle{}
	}
	return Handle{process}
}

// Exit returns how the process ended. It is settled when nothing more will be told: for a process that runs it is not.
func (h Handle) Exit() (exit Exit, final bool) {
	if h == (Handle{}) {
		return Exit{}, true
	}
	// The status of a process that runs is a number as well, which others can end with.
	event, err := windows.WaitForSingleObject(h.process, 0)
	if err == nil && event != windows.WAIT_OBJECT_0 {
		return Exit{}, false
	}
	var status uint32
	if err != nil || windows.GetExitCodeProcess(h.process, &status) != nil {
		return Exit{}, true
	}
	return Exit{How: Exited, Status: int(status)}, true
}

// Close lets go of the process.
func (h Handle) Close() {
	if h != (Handle{}) {
		_ = windows.CloseHandle(h.process)
	}
}
