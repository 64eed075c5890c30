package terminal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"
)

// systemRole is described in console_other_test.go.
func systemRole(role string) error {
	switch role {
	case "attach":
		return roleAttach()
	case "console":
		return roleConsole(os.Args[1:])
	}
	return fmt.Errorf("no role %q", role)
}

// TestAttachToConsole starts a program without a console and standard streams from a console. With a command the
// program writes to the console. Without one it only writes its log, to a file.
func TestAttachToConsole(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command []string
		screen  string
		log     string
	}{
		{"with a command", []string{"list"}, "said · out\nsaid · err", ""},
		{"without one", nil, "", "said · err\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := as(t, "console", tt.command...)
			dir := t.TempDir()
			cmd.Env = append(cmd.Env, "AppData="+dir)
			cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_CONSOLE, HideWindow: true}
			screen, err := cmd.CombinedOutput()
			if err != nil || string(screen) != tt.screen {
				t.Errorf("on the screen is %q, %v, want %q", screen, err, tt.screen)
			}
			log, err := os.ReadFile(filepath.Join(dir, "porttray", "porttray.log"))
			if string(log) != tt.log || os.IsNotExist(err) != (tt.log == "") {
				t.Errorf("the log has %q, %v, want %q", log, err, tt.log)
			}
		})
	}
}

// roleConsole starts the role attach as a shell starts a GUI program. Then it prints the text of the screen.
func roleConsole(args []string) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	line, err := windows.UTF16PtrFromString(windows.ComposeCommandLine(append([]string{path}, args...)))
	if err != nil {
		return err
	}
	if err := os.Setenv("PORTTRAY_TEST_ROLE", "attach"); err != nil {
		return err
	}
	started := windows.StartupInfo{}
	started.Cb = uint32(unsafe.Sizeof(started))
	var child windows.ProcessInformation
	if err := windows.CreateProcess(nil, line, nil, nil, false, windows.DETACHED_PROCESS, nil, nil, &started,
		&child); err != nil {
		return err
	}
	defer windows.CloseHandle(child.Process)
	defer windows.CloseHandle(child.Thread)
	if _, err := windows.WaitForSingleObject(child.Process, windows.INFINITE); err != nil {
		return err
	}
	screen, err := readScreen()
	fmt.Print(screen)
	return err
}

// readScreen returns the text of this process's console.
func readScreen() (string, error) {
	console, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer console.Close()
	var info windows.ConsoleScreenBufferInfo
	if err := windows.GetConsoleScreenBufferInfo(windows.Handle(console.Fd()), &info); err != nil {
		return "", err
	}
	read := windows.NewLazySystemDLL("kernel32.dll").NewProc("ReadConsoleOutputCharacterW")
	var lines []string
	for y := range info.Size.Y {
		row, n := make([]uint16, info.Size.X), uint32(0)
		at := uintptr(uint16(y)) << 16 // a COORD by value
		if ok, _, err := read.Call(console.Fd(), uintptr(unsafe.Pointer(&row[0])), uintptr(len(row)), at,
			uintptr(unsafe.Pointer(&n))); ok == 0 {
			return "", err
		}
		lines = append(lines, strings.TrimRight(windows.UTF16ToString(row[:n]), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n"), nil
}
