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

// popUp shows a notice as a toast or, if the Windows Runtime has no toasts, as a balloon of the icon. Both show the
// program's name: the toast takes it from HKEY_CURRENT_USER\Software\Classes\AppUserModelId, the balloon from the
// program's version resource. popUp avoids beeep, because beeep handles a failed toast with a PowerShell script that
// contains the notice.
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

// toastClass is the registry key of toasts in the Windows Runtime, below HKEY_LOCAL_MACHINE.
const toastClass = `SOFTWARE\Microsoft\WindowsRuntime\ActivatableClassId\` +
	`Windows.UI.Notifications.ToastNotificationManager`

// toast shows a toast. A click on it starts nothing of this program, but Windows requires a GUID of its own.
func toast(xml string) error {
	// Do not try without toasts, as in Wine: the attempt would leave an object of this program with the system. The
	// system calls it when the program exits, and that crashes.
	class, err := registry.OpenKey(registry.LOCAL_MACHINE, toastClass, registry.QUERY_VALUE)
	if err != nil {
		return fmt.Errorf("look for the Windows Runtime: %w", err)
	}
	class.Close()
	app := wintoast.AppData{AppID: "porttray", GUID: "{E8038B51-D040-46E1-B88D-AA0160AC02FB}"}
	if err := wintoast.SetAppData(app); err != nil {
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

// balloon shows a balloon at the icon, without sound, and not during quiet time.
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
	if n.body == "" { // Windows shows no balloon without a text
		fill(data.info[:], " ")
	}
	notify := windows.NewLazySystemDLL("shell32.dll").NewProc("Shell_NotifyIconW")
	shown, _, err := notify.Call(modify, uintptr(unsafe.Pointer(&data)))
	if shown == 0 {
		return fmt.Errorf("show a balloon: %w", err)
	}
	return nil
}

// fill copies text to a field and ends it with a zero. It cuts a longer text between characters.
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
