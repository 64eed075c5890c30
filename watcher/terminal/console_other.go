//go:build !windows

package terminal

import "os"

// attachConsole is described in console_windows.go.
func attachConsole() {}

// usable is described in console_windows.go. On other systems the Go runtime opens every standard stream.
func usable(*os.File) bool { return true }
