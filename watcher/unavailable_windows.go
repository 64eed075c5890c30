package watcher

import (
	"errors"

	"golang.org/x/sys/windows"
)

// unavailable is described in unavailable_other.go. The errors of that name in package syscall are Go's own on Windows, where the
// system has others (https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2).
func unavailable(err error) bool {
	return errors.Is(err, windows.WSAEADDRNOTAVAIL) || errors.Is(err, windows.WSAEAFNOSUPPORT)
}
