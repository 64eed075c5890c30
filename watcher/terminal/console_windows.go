package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

// attachConsole joins the console that this program was started in, when it was started with a command, and has those of standard
// output and standard error write there that lead nowhere; others are redirected. Package os writes to a console in UTF-16, whatever
// its code page.
//
// Without a command it stays away from the console, which would otherwise take the tray down with it when it is closed.
func attachConsole() {
	if len(os.Args) < 2 || usable(os.Stdout) && usable(os.Stderr) {
		return
	}
	const parent = ^uintptr(0) // ATTACH_PARENT_PROCESS in wincon.h
	if ok, _, _ := windows.NewLazySystemDLL("kernel32.dll").NewProc("AttachConsole").Call(parent); ok == 0 {
		return // it was not started in one
	}
	for handle, stream := range map[uint32]**os.File{windows.STD_OUTPUT_HANDLE: &os.Stdout, windows.STD_ERROR_HANDLE: &os.Stderr} {
		if usable(*stream) {
			continue
		}
		console, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
		if err != nil {
			continue // it stays as it is
		}
		// This is where the runtime writes what a crash says.
		_ = windows.SetStdHandle(handle, windows.Handle(console.Fd()))
		*stream = console
	}
}

// usable reports whether a standard stream leads anywhere: to a file, a pipe or a console. It takes no more than that the handle is
// one; what may be done with it can be little.
func usable(stream *os.File) bool {
	kind, err := windows.GetFileType(windows.Handle(stream.Fd()))
	return err == nil && kind != windows.FILE_TYPE_UNKNOWN
}
