//go:build !linux && !darwin && !windows

package port

// Ephemeral is described in ephemeral_linux.go. It does not know how to ask this system.
func Ephemeral() (first, last uint16, ok bool) { return 0, 0, false }
