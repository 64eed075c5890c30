//go:build !windows

package owner

// A Handle is described in handle_windows.go. Here it refers to nothing.
type Handle struct{}

// Grip is described in handle_windows.go.
func Grip(Process) Handle { return Handle{} }

// Exit is described in handle_windows.go.
func (Handle) Exit() (exit Exit, final bool) { return Exit{}, true }

// Close is described in handle_windows.go.
func (Handle) Close() {}
