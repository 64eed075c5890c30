package tray

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// taskbarPatience is how long the taskbar may take to accept the icon. Shell_NotifyIcon gives up on a busy taskbar
// after 4 s.
const taskbarPatience = 8 * time.Second

// persist calls run. run blocks while the icon exists, and calls its argument once it does; then persist calls ready.
//
// At login this program may start before the taskbar, or while the taskbar is too busy to accept an icon. Systray then
// waits for ever in a window without an icon (https://github.com/fyne-io/systray/issues/95). So persist first waits for
// a taskbar. As long as the icon is not accepted, it closes that window and calls run again. It returns when ctx is
// done, or when run returns after the call of ready.
func persist(ctx context.Context, run func(ready func()), ready func()) {
	for awaitTaskbar(ctx) {
		var settled, accepted atomic.Bool // the icon or the timeout sets settled, whichever comes first
		limit := time.AfterFunc(taskbarPatience, func() {
			if !settled.Swap(true) {
				slog.Warn("the taskbar does not accept the icon; trying again")
				closeTray()
			}
		})
		run(func() {
			if !settled.Swap(true) {
				accepted.Store(true)
				ready()
			}
		})
		limit.Stop()
		if accepted.Load() {
			return
		}
	}
}

// awaitTaskbar waits for a taskbar. It returns false if ctx is done earlier.
func awaitTaskbar(ctx context.Context) bool {
	for told := false; findWindow(0, "Shell_TrayWnd") == 0; {
		if !told {
			slog.Info("waiting for the taskbar")
			told = true
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return ctx.Err() == nil
}

func closeTray() {
	const wmClose = 0x0010 // WM_CLOSE in winuser.h
	if window := trayWindow(); window != 0 {
		windows.NewLazySystemDLL("user32.dll").NewProc("PostMessageW").Call(uintptr(window), wmClose, 0, 0)
	}
}

// trayWindow returns the window of systray's icon, or 0. Other programs may have a window of the same class.
func trayWindow() windows.HWND {
	window := findWindow(0, "SystrayClass")
	for window != 0 {
		var pid uint32
		if _, err := windows.GetWindowThreadProcessId(window, &pid); err == nil && int(pid) == os.Getpid() {
			break
		}
		window = findWindow(window, "SystrayClass")
	}
	return window
}

// findWindow returns the next window of a class after another one, or the first one after 0. It returns 0 if there is
// none.
func findWindow(after windows.HWND, class string) windows.HWND {
	name, err := windows.UTF16PtrFromString(class)
	if err != nil {
		return 0
	}
	find := windows.NewLazySystemDLL("user32.dll").NewProc("FindWindowExW")
	found, _, _ := find.Call(0, uintptr(after), uintptr(unsafe.Pointer(name)), 0)
	return windows.HWND(found)
}
