//go:build !windows

package terminal

import "os"

// attachConsole is described in console_windows.go.
func attachConsole() {}

// usable is described in console_windows.go. Here the runtime sees to it that every standard stream leads somewhere.
func usable(*os.File) bool { return true }
