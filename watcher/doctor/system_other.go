//go:build !linux && !darwin && !windows

package doctor

import "runtime"

// system is described in system_linux.go. On other systems it returns no version.
func system() string { return runtime.GOOS }
