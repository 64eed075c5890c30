package terminal

import (
	"os"

	"golang.org/x/sys/windows"
)

// attachConsole attaches a program with arguments to the console of its parent process. Standard output and standard
// error then write there, unless they are redirected. Package os writes UTF-16 to a console, whatever its code page.
//
// Without arguments the program runs the tray and does not attach. Closing the console would end the tray.
func attachConsole() {
	if len(os.Args) < 2 || usable(os.Stdout) && usable(os.Stderr) {
		return
	}
	const parent = ^uintptr(0) // ATTACH_PARENT_PROCESS in wincon.h
	if ok, _, _ := windows.NewLazySystemDLL("kernel32.dll").NewProc("AttachConsole").Call(parent); ok == 0 {
		return // the parent has no console
	}
	streams := map[uint32]**os.File{windows.STD_OUTPUT_HANDLE: &os.Stdout, windows.STD_ERROR_HANDLE: &os.Stderr}
	for handle, stream := range streams {
		if usable(*stream) {
			continue
		}
		console, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
		if err != nil {
			continue // the stream stays unusable
		}
		// The runtime writes the text of a crash to this handle.
		_ = windows.SetStdHandle(handle, windows.Handle(console.Fd()))
		*stream = console
	}
}

// usable reports whether a standard stream has a valid handle: a file, a pipe or a console. It does not check the
// access rights of the handle.
func usable(stream *os.File) bool {
	kind, err := windows.GetFileType(windows.Handle(stream.Fd()))
	return err == nil && kind != windows.FILE_TYPE_UNKNOWN
}
