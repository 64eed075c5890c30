package watcher

import (
	"errors"

	"golang.org/x/sys/windows"
)

// unavailable is described in unavailable_other.go. On Windows the errors with these names in package syscall are Go's
// own, and the system returns others (https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2).
func unavailable(err error) bool {
	return errors.Is(err, windows.WSAEADDRNOTAVAIL) || errors.Is(err, windows.WSAEAFNOSUPPORT)
}
