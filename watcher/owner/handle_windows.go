package owner

import "golang.org/x/sys/windows"

// A Handle keeps a process's exit status readable. The zero value refers to no process.
//
// Linux has Pins for that, and they also tell when a process ends. macOS has neither, so exits stay unknown there.
type Handle struct{ process windows.Handle }

// Grip returns a handle on a process. It returns the zero Handle if the process has ended or may not be queried.
func Grip(p Process) Handle {
	const access = windows.PROCESS_QUERY_LIMITED_INFORMATION | windows.SYNCHRONIZE
	process, err := windows.OpenProcess(access, false, uint32(p.PID))
	if err != nil {
		return Handle{}
	}
	if p.Gone() { // the PID may have passed to another process just before
		_ = windows.CloseHandle(process)
		return Handle{}
	}
	return Handle{process}
}

// Exit returns how the process ended. final says that no more will be known. It is false while the process runs.
func (h Handle) Exit() (exit Exit, final bool) {
	if h == (Handle{}) {
		return Exit{}, true
	}
	// The status of a running process is a number too, and an ended process can have the same one.
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

// Close releases the handle.
func (h Handle) Close() {
	if h != (Handle{}) {
		_ = windows.CloseHandle(h.process)
	}
}
