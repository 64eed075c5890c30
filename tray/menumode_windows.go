package tray

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// menuPeek reports whether the menu is open. Windows does not tell when that changes.
func menuPeek() bool {
	const inMenuMode, popupMenuMode = 0x4, 0x10 // GUI_INMENUMODE and GUI_POPUPMENUMODE in winuser.h
	window := trayWindow()
	if window == 0 {
		return false
	}
	thread, err := windows.GetWindowThreadProcessId(window, nil)
	if err != nil {
		return false
	}
	info := windows.GUIThreadInfo{Size: uint32(unsafe.Sizeof(windows.GUIThreadInfo{}))}
	return windows.GetGUIThreadInfo(thread, &info) == nil && info.Flags&(inMenuMode|popupMenuMode) != 0
}
