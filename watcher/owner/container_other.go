//go:build !linux

package owner

// containerOf is described in container_linux.go. On other systems containers run in a virtual machine.
func containerOf(int32) (string, error) { return "", nil }

// ownRoot is described in container_linux.go.
func ownRoot(int32) bool { return false }

// sharedDir is described in container_linux.go.
func sharedDir(int32) string { return "" }
