//go:build !linux

package owner

// containerOf is described in container_linux.go. On other systems containers run in a virtual machine.
func containerOf(int32) (string, error) { return "", nil }

// ownRoot is described in container_linux.go.
func ownRoot(int32) bool { return false }

// SharedDir is described in container_linux.go.
func SharedDir(int32) string { return "" }
