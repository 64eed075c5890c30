//go:build !linux

package owner

// containerOf is described in container_linux.go. Elsewhere containers run in a virtual machine.
func containerOf(int32) (string, error) { return "", nil }

// sharedDir is described in container_linux.go.
func sharedDir(int32) string { return "" }
