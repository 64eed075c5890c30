package tray

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unsafe"

	"git.sr.ht/~jackmordaunt/go-toast/wintoast"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// popUp shows a notice as a toast or, where the Windows Runtime has none, as a balloon of the icon. Both bear the program's name:
// the toast by what is registered below HKEY_CURRENT_USER\Software\Classes\AppUserModelId, the balloon by the program's version
// resource. beeep would run PowerShell where a toast fails, on a script with the notice in it; so it is not asked.
func popUp(n notice) error {
	err := toast(toastXML(n))
	if err == nil {
		return nil
	}
	if err2 := balloon(n); err2 != nil {
		return errors.Join(fmt.Errorf("show a toast: %w", err), err2)
	}
	return nil
}

// toastClass is where the Windows Runtime has what shows toasts, in HKEY_LOCAL_MACHINE.
const toastClass = `SOFTWARE\Microsoft\WindowsRuntime\ActivatableClassId\Windows.UI.Notifications.ToastNotificationManager`

// toast shows a toast. A click on it starts nothing of this program, but the GUID by which it could has to be one of its own.
func toast(xml string) error {
	// Where there is none of it, as in Wine, not even an attempt is made: it would leave an object of this program's with the system,
	// which calls it when the program exits, and that crashes.
	class, err := registry.OpenKey(registry.LOCAL_MACHINE, toastClass, registry.QUERY_VALUE)
	if err != nil {
		return fmt.Errorf("look for the Windows Runtime: %w", err)
	}
	class.Close()
	if err := wintoast.SetAppData(wintoast.AppData{AppID: "porttray", GUID: "{E8038B51-D040-46E1-B88D-AA0160AC02FB}"}); err != nil {
		return err
	}
	return wintoast.Push(xml)
}

// notifyIconData is NOTIFYICONDATAW in shellapi.h.
type notifyIconData struct {
	size                       uint32
	window                     windows.HWND
	id, flags, callbackMessage uint32
	icon                       windows.Handle
	tip                        [128]uint16
	state, stateMask           uint32
	info                       [256]uint16
	version                    uint32
	infoTitle                  [64]uint16
	infoFlags                  uint32
	item                       windows.GUID
	balloonIcon                windows.Handle
}

// balloon shows a balloon at the icon, without sound, and not while the person wants quiet.
func balloon(n notice) error {
	const (
		modify  = 1    // NIM_MODIFY
		hasInfo = 0x10 // NIF_INFO
		silent  = 0x10 // NIIF_NOSOUND
		polite  = 0x80 // NIIF_RESPECT_QUIET_TIME
		iconID  = 100  // systray's
	)
	data := notifyIconData{window: trayWindow(), id: iconID, flags: hasInfo, infoFlags: silent | polite}
	data.size = uint32(unsafe.Sizeof(data))
	fill(data.infoTitle[:], n.title)
	fill(data.info[:], n.body)
	if n.body == "" { // without a text there is no balloon
		fill(data.info[:], " ")
	}
	shown, _, err := windows.NewLazySystemDLL("shell32.dll").NewProc("Shell_NotifyIconW").Call(modify, uintptr(unsafe.Pointer(&data)))
	if shown == 0 {
		return fmt.Errorf("show a balloon: %w", err)
	}
	return nil
}

// fill puts as much of text into a field as it holds with its end, a zero, and no half of a character.
func fill(field []uint16, text string) {
	units := utf16.Encode([]rune(text))
	if room := len(field) - 1; len(units) > room {
		units = units[:room]
		if utf16.IsSurrogate(rune(units[room-1])) && units[room-1] < 0xDC00 {
			units = units[:room-1]
		}
	}
	copy(field, units)
}
