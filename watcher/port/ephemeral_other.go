//go:build !linux && !darwin && !windows

package port

// Ephemeral is described in ephemeral_linux.go. How this system tells the range is not known.
func Ephemeral() (first, last uint16, ok bool) { return 0, 0, false }
