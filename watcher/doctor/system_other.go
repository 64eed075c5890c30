//go:build !linux && !darwin && !windows

package doctor

import "runtime"

// system is described in system_linux.go. How this one tells its version is not known.
func system() string { return runtime.GOOS }
